// SPDX-License-Identifier: MIT
#pragma once
// Finds special tokens in a text.

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <optscope/tokenizer/tokenizer_settings.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// Cuts a text at every special token, the leftmost first and of those that begin together the longest.
class added_token_splitter {
 public:
  explicit added_token_splitter(std::vector<added_token> tokens) : tokens_{std::move(tokens)} {
    std::sort(tokens_.begin(), tokens_.end(),
              [](const added_token& a, const added_token& b) { return a.content < b.content; });
    for (const added_token& token : tokens_) begins_[static_cast<unsigned char>(token.content[0])] = true;
    for (std::size_t byte = 0; byte < 256; ++byte) {
      if (begins_[byte]) only_ = only_ == none ? static_cast<int>(byte) : several;
    }
  }

  /// Calls `section(std::string_view)` for what lies between, never empty, and `special(token_id)`, in order.
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
  [[nodiscard]] std::size_t candidate(std::string_view text, std::size_t from) const noexcept {
    if (only_ == none || from >= text.size()) return text.size();
    if (only_ != several) {
      const void* found = std::memchr(text.data() + from, only_, text.size() - from);
      return found == nullptr ? text.size() : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
    }
    while (from < text.size() && !begins_[static_cast<unsigned char>(text[from])]) ++from;
    return from;
  }

  // The longest token that `text` begins with. Everything between a beginning of `text` and `text` itself, in the order
  // of the contents, has that beginning: so the last token not above `text` is it, or shares it with `text`.
  [[nodiscard]] const added_token* longest_at(std::string_view text) const noexcept {
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

  std::vector<added_token> tokens_;  // in the order of their contents
  std::array<bool, 256> begins_{};
  int only_ = none;  // the byte that every token begins with
};

}  // namespace optscope
