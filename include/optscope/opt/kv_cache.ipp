// SPDX-License-Identifier: MIT
#pragma once
// Bodies of kv_cache.hpp.

#include <algorithm>
#include <optscope/opt/kv_cache.hpp>

namespace optscope {

OPTSCOPE_INLINE void cached_texts::truncate(std::size_t text, std::size_t length) {
  lengths_.at(text) = std::min(lengths_.at(text), length);
}

OPTSCOPE_INLINE bool cached_texts::fits(const architecture& shape, std::size_t texts) const noexcept {
  return lengths_.empty() || (layers_ == shape.layers && hidden_ == shape.hidden && lengths_.size() == texts);
}

}  // namespace optscope
