// SPDX-License-Identifier: MIT
#pragma once
// Finds added tokens, special ones among them, in a text.

#include <algorithm>
#include <array>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// A token that is looked for in a text before the text is split into words, with the switches of Hugging Face's
/// `AddedToken`.
struct added_token {
  std::string content;
  token_id id = 0;
  bool special = true;       ///< left out by `decode(…, true)`
  bool normalized = false;   ///< looked for only where no token without this switch is
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space after it
  bool single_word = false;  ///< is one only if no letter, mark, digit or underscore is beside it
};

namespace detail {

/// Cuts a text at tokens that are looked for together: the leftmost first; of several at the same place, the longest.
class added_token_set {
 public:
  /// Special tokens are passed over if `split_special`.
  added_token_set(std::vector<added_token> tokens, bool split_special);

  template <class Section, class Token>
  void split(std::string_view text, Section&& section, Token&& token) const {
    std::size_t done = 0;
    for (std::size_t at = candidate(text, 0); at < text.size(); at = candidate(text, at)) {
      const added_token* found = longest_at(text.substr(at));
      if (found == nullptr) {
        ++at;
        continue;
      }
      const std::string_view before = text.substr(0, at), after = text.substr(at + found->content.size());
      at += found->content.size();
      if (!stands(*found, before, after)) continue;
      const std::size_t begin = found->lstrip ? std::max(done, end_without_space(before)) : before.size();
      if (begin > done) section(text.substr(done, begin - done));
      token(found->id);
      done = found->rstrip ? at + space_at_begin(after) : at;
    }
    if (done < text.size()) section(text.substr(done));
  }

 private:
  static constexpr int none = -1, several = -2;

  // The next place where a token may begin.
  [[nodiscard]] std::size_t candidate(std::string_view text, std::size_t from) const noexcept;
  // The longest token that `text` begins with.
  [[nodiscard]] const added_token* longest_at(std::string_view text) const noexcept;
  // Whether what was found between these two is the token.
  [[nodiscard]] bool stands(const added_token& token, std::string_view before, std::string_view after) const;
  [[nodiscard]] static std::size_t end_without_space(std::string_view text) noexcept;
  [[nodiscard]] static std::size_t space_at_begin(std::string_view text) noexcept;

  std::vector<added_token> tokens_;  // in the order of their contents
  bool split_special_;
  std::array<bool, 256> begins_{};
  int only_ = none;  // the byte that every token begins with
};

}  // namespace detail

/// Cuts a text at every added token, as Hugging Face's tokenizers do: first at those that are not `normalized`, then
/// what is left at the others.
class added_token_splitter {
 public:
  /// Special tokens are left in the text if `split_special`.
  explicit added_token_splitter(const std::vector<added_token>& tokens, bool split_special = false);

  /// In order of the text, calls `token(token_id)` for each added token and `section(std::string_view)` for each piece
  /// between them. Sections are never empty.
  template <class Section, class Token>
  void split(std::string_view text, Section&& section, Token&& token) const {
    first_.split(
        text, [&](std::string_view rest) { then_.split(rest, section, token); }, token);
  }

 private:
  detail::added_token_set first_, then_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/added_tokens.ipp>
#endif
