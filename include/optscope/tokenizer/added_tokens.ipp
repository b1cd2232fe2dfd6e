// SPDX-License-Identifier: MIT
#pragma once
// Bodies of added_tokens.hpp.

#include <algorithm>
#include <cstring>
#include <iterator>
#include <optscope/tokenizer/added_tokens.hpp>
#include <optscope/tokenizer/pre_tokenizer.hpp>
#include <utility>

namespace optscope {
namespace detail {

OPTSCOPE_INLINE added_token_set::added_token_set(std::vector<added_token> tokens, bool split_special)
    : tokens_{std::move(tokens)}, split_special_{split_special} {
  std::sort(tokens_.begin(), tokens_.end(),
            [](const added_token& a, const added_token& b) { return a.content < b.content; });
  for (const added_token& token : tokens_) begins_[static_cast<unsigned char>(token.content[0])] = true;
  for (std::size_t byte = 0; byte < 256; ++byte) {
    if (begins_[byte]) only_ = only_ == none ? static_cast<int>(byte) : several;
  }
}

OPTSCOPE_INLINE std::size_t added_token_set::candidate(std::string_view text, std::size_t from) const noexcept {
  if (only_ == none || from >= text.size()) return text.size();
  if (only_ != several) {
    const void* found = std::memchr(text.data() + from, only_, text.size() - from);
    return found == nullptr ? text.size() : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
  }
  while (from < text.size() && !begins_[static_cast<unsigned char>(text[from])]) ++from;
  return from;
}

// Let P be a prefix of `text`. In the order of the contents, everything between P and `text` begins with P. So the last
// token that is not above `text` is the one wanted, or shares it as a prefix with `text`.
OPTSCOPE_INLINE const added_token* added_token_set::longest_at(std::string_view text) const noexcept {
  for (auto end = tokens_.end();;) {
    end = std::upper_bound(tokens_.begin(), end, text,
                           [](std::string_view t, const added_token& token) { return t < token.content; });
    if (end == tokens_.begin()) return nullptr;
    const std::string_view content = std::prev(end)->content;
    if (text.starts_with(content)) return &*std::prev(end);
    const auto differ = std::mismatch(text.begin(), text.end(), content.begin(), content.end());
    text = text.substr(0, static_cast<std::size_t>(differ.first - text.begin()));
  }
}

OPTSCOPE_INLINE bool added_token_set::stands(const added_token& token, std::string_view before,
                                             std::string_view after) const {
  if (split_special_ && token.special) return false;
  if (!token.single_word) return true;
  return !word_character(last_character(before)) && !word_character(first_character(after));
}

OPTSCOPE_INLINE std::size_t added_token_set::end_without_space(std::string_view text) noexcept {
  while (white_space(last_character(text))) text.remove_suffix(last_character(text).size());
  return text.size();
}

OPTSCOPE_INLINE std::size_t added_token_set::space_at_begin(std::string_view text) noexcept {
  const std::size_t size = text.size();
  while (white_space(first_character(text))) text.remove_prefix(first_character(text).size());
  return size - text.size();
}

[[nodiscard]] inline std::vector<added_token> tokens_where(const std::vector<added_token>& tokens, bool normalized) {
  std::vector<added_token> some;
  for (const added_token& token : tokens) {
    if (token.normalized == normalized) some.push_back(token);
  }
  return some;
}

}  // namespace detail

OPTSCOPE_INLINE added_token_splitter::added_token_splitter(const std::vector<added_token>& tokens, bool split_special)
    : first_{detail::tokens_where(tokens, false), split_special},
      then_{detail::tokens_where(tokens, true), split_special} {}

}  // namespace optscope
