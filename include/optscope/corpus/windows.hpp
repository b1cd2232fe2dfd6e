// SPDX-License-Identifier: MIT
#pragma once
// Texts of any length as windows that a model can take.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <vector>

namespace optscope {

/// A piece of a text, ready to run: BOS first if the text begins with it.
struct window {
  token_list tokens;
  std::size_t skip = 0;  ///< leading tokens that are not the text's own: 1 for a BOS
};

/// Cuts a text into windows of at most `length` tokens, each but the last full, each with the text's BOS in front of
/// it. Every token but BOS is in exactly one window; a text of BOS alone has none.
///
/// A token near the beginning of a later window is seen with less in front of it than in the text.
[[nodiscard]] inline std::vector<window> windows_of(const token_list& text, std::size_t length,
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

/// A piece of one of the texts, which and where drawn from `bits`: at most `size` tokens, without BOS.
template <class Bits>
[[nodiscard]] token_list random_piece(const std::vector<token_list>& texts, std::size_t size,
                                      std::optional<token_id> bos, Bits& bits) {
  const token_list& text = texts[bits() % texts.size()];
  const std::size_t skip = bos && !text.empty() && text[0] == *bos ? 1 : 0;
  const std::size_t own = text.size() - skip, count = std::min(size, own);
  const auto first = text.begin() + static_cast<std::ptrdiff_t>(skip + bits() % (own - count + 1));
  return token_list(first, first + static_cast<std::ptrdiff_t>(count));
}

}  // namespace optscope
