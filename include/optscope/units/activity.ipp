// SPDX-License-Identifier: MIT
#pragma once
// Bodies of activity.hpp.

#include <optscope/units/activity.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE std::size_t windows_in_half(std::size_t windows, std::size_t half) {
  return windows == 1 ? 1 : (windows + 1 - half) / 2;
}

OPTSCOPE_INLINE void activity_batch::add(const window& what, std::size_t category, std::size_t index,
                                         const text_groups& whole, const text_groups& half) {
  tokens.push_back(what.tokens);
  in_whole.push_back({.category = category,
                      .group = whole.of(category, index),
                      .text_tokens = what.tokens.size() - what.skip,
                      .skip = what.skip,
                      .ends = true});
  in_half.push_back(in_whole.back());
  in_half.back().group = half.of(category, index / 2);
}

}  // namespace optscope::detail
