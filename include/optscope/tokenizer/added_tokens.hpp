// SPDX-License-Identifier: MIT
#pragma once
// Finds special tokens in a text.

#include <array>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/tokenizer/tokenizer_settings.hpp>
#include <string_view>
#include <vector>

namespace optscope {

/// Cuts a text at every special token: the leftmost first; of several at the same place, the longest.
class added_token_splitter {
 public:
  explicit added_token_splitter(std::vector<added_token> tokens);

  /// In order of the text, calls `special(token_id)` for each special token and `section(std::string_view)` for each
  /// piece between them. Sections are never empty.
  template <class Section, class Special>
  void split(std::string_view text, Section&& section, Special&& special) const {
    std::size_t done = 0;
    for (std::size_t at = candidate(text, 0); at < text.size(); at = candidate(text, at)) {
      const added_token* token = longest_at(text.substr(at));
      if (token == nullptr) {
        ++at;
        continue;
      }
      if (at > done) section(text.substr(done, at - done));
      special(token->id);
      at = done = at + token->content.size();
    }
    if (done < text.size()) section(text.substr(done));
  }

 private:
  static constexpr int none = -1, several = -2;

  // The next place where a token may begin.
  [[nodiscard]] std::size_t candidate(std::string_view text, std::size_t from) const noexcept;
  // The longest token that `text` begins with.
  [[nodiscard]] const added_token* longest_at(std::string_view text) const noexcept;

  std::vector<added_token> tokens_;  // in the order of their contents
  std::array<bool, 256> begins_{};
  int only_ = none;  // the byte that every token begins with
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/added_tokens.ipp>
#endif
