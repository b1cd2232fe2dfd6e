// SPDX-License-Identifier: MIT
#pragma once
// Texts of any length as windows that a model can take.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <span>
#include <vector>

namespace optscope {

/// A piece of a text, ready to run. It begins with BOS if the text does.
struct window {
  token_list tokens;
  std::size_t skip = 0;  ///< leading tokens that are not the text's own: 1 for a BOS
};

/// Cuts a text into windows of at most `length` tokens, each except the last full, each with the text's BOS in front of
/// it. Every token except BOS is in exactly one window; a text of BOS alone has none.
///
/// A token near the start of a later window has less context there than in the text.
[[nodiscard]] std::vector<window> windows_of(const token_list& text, std::size_t length, std::optional<token_id> bos);

/// At most `size` consecutive tokens, without BOS, of one of the texts; which text and where is drawn from `bits()`, a
/// source of random 64-bit numbers such as `std::mt19937_64`.
template <class Bits>
[[nodiscard]] token_list random_piece(std::span<const token_list> texts, std::size_t size, std::optional<token_id> bos,
                                      Bits& bits) {
  const token_list& text = texts[bits() % texts.size()];
  const std::size_t skip = bos && !text.empty() && text[0] == *bos ? 1 : 0;
  const std::size_t own = text.size() - skip, count = std::min(size, own);
  const auto first = text.begin() + static_cast<std::ptrdiff_t>(skip + bits() % (own - count + 1));
  return token_list(first, first + static_cast<std::ptrdiff_t>(count));
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/corpus/windows.ipp>
#endif
