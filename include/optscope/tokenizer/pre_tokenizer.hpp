// SPDX-License-Identifier: MIT
#pragma once
// GPT-2's split of a text into words.

#include <cstddef>
#include <memory>
#include <optscope/core/compiled.hpp>
#include <string_view>

namespace optscope {

/// Cuts text into the pieces of GPT-2's regular expression; no character is lost:
///
///     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///
/// `\s`, `\p{L}` and `\p{N}` are those of Hugging Face's tokenizers 0.23: Unicode 16, where U+180E is no white space.
/// What was assigned after Unicode 14 is written out, because PCRE2 may be older. Compiled at run time (JIT) where
/// PCRE2 can. Threads may share one.
class pre_tokenizer {
 public:
  pre_tokenizer();

  /// Calls `word(std::string_view)` for every piece of `text`, in order. `text` must be UTF-8.
  template <class Word>
  void split(std::string_view text, Word&& word) const {
    const std::unique_ptr<scratch, void (*)(scratch*)> memory = new_scratch();
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = end_of_piece(text, at, *memory);
      word(text.substr(at, end - at));
      at = end;
    }
  }

 private:
  struct expression;  // compiled; never changed after construction
  struct scratch;     // of one split

  [[nodiscard]] static std::unique_ptr<scratch, void (*)(scratch*)> new_scratch();
  [[nodiscard]] std::size_t end_of_piece(std::string_view text, std::size_t begin, scratch& memory) const;

  std::shared_ptr<const expression> expression_;
};

namespace detail {

/// The first and the last character of valid UTF-8; empty if `text` is.
[[nodiscard]] std::string_view first_character(std::string_view text) noexcept;
[[nodiscard]] std::string_view last_character(std::string_view text) noexcept;

/// Whether one character is white space, `\s`.
[[nodiscard]] bool white_space(std::string_view character) noexcept;

/// Whether one character is a letter, mark, digit or joins words, `\w`; both with Unicode 16 as above.
[[nodiscard]] bool word_character(std::string_view character);

}  // namespace detail

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/pre_tokenizer.ipp>
#endif
