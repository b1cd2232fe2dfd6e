// SPDX-License-Identifier: MIT
#pragma once
// Bodies of windows.hpp.

#include <optscope/corpus/windows.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE std::vector<window> windows_of(const token_list& text, std::size_t length,
                                               std::optional<token_id> bos) {
  const std::size_t skip = bos && !text.empty() && text[0] == *bos ? 1 : 0;
  const std::size_t own = std::max<std::size_t>(length, skip + 1) - skip;
  std::vector<window> result;
  for (std::size_t at = skip; at < text.size(); at += own) {
    window w{token_list(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(skip)), skip};
    const auto first = text.begin() + static_cast<std::ptrdiff_t>(at);
    w.tokens.insert(w.tokens.end(), first, first + static_cast<std::ptrdiff_t>(std::min(own, text.size() - at)));
    result.push_back(std::move(w));
  }
  return result;
}

}  // namespace optscope
