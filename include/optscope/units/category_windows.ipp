// SPDX-License-Identifier: MIT
#pragma once
// Bodies of category_windows.hpp.

#include <iterator>
#include <optscope/units/category_windows.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE std::vector<std::vector<window>> windows_by_category(const category_texts& texts, std::size_t length,
                                                                     std::optional<token_id> bos) {
  std::vector<std::vector<window>> result(texts.size());
  for (std::size_t c = 0; c < texts.size(); ++c) {
    for (const token_list& text : texts[c]) {
      std::vector<window> more = windows_of(text, length, bos);
      std::move(more.begin(), more.end(), std::back_inserter(result[c]));
    }
  }
  return result;
}

}  // namespace optscope
