// SPDX-License-Identifier: MIT
#pragma once
// Bodies of category_windows.hpp.

#include <algorithm>
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

OPTSCOPE_INLINE std::size_t equal_length(std::vector<std::vector<std::size_t>> lengths) {
  std::size_t shortest = ~std::size_t{0}, longest = 0, tenth = 0;
  for (std::vector<std::size_t>& own : lengths) {
    if (own.empty()) continue;
    std::ranges::sort(own);
    const std::size_t median = own[own.size() / 2];
    if (median < shortest) tenth = own[own.size() / 10];
    shortest = std::min(shortest, median);
    longest = std::max(longest, median);
  }
  return longest <= shortest + shortest / 4 ? 0 : std::max<std::size_t>(1, tenth);
}

}  // namespace optscope
