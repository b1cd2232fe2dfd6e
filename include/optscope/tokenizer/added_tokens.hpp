// SPDX-License-Identifier: MIT
#pragma once
// Finds special tokens in a text.

#include <array>
#include <cstring>
#include <optscope/tokenizer/tokenizer_settings.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// Cuts a text at every special token, the leftmost first and of those that begin together the longest.
class added_token_splitter {
 public:
  explicit added_token_splitter(std::vector<added_token> tokens) : tokens_{std::move(tokens)} {
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
      const added_token* longest = nullptr;
      for (const added_token& token : tokens_) {
        if (text.substr(at).starts_with(token.content) &&
            (longest == nullptr || token.content.size() > longest->content.size())) {
          longest = &token;
        }
      }
      if (longest == nullptr) {
        ++at;
        continue;
      }
      if (at > done) section(text.substr(done, at - done));
      special(longest->id);
      at = done = at + longest->content.size();
    }
    if (done < text.size()) section(text.substr(done));
  }

  [[nodiscard]] const std::vector<added_token>& tokens() const noexcept { return tokens_; }

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

  std::vector<added_token> tokens_;
  std::array<bool, 256> begins_{};
  int only_ = none;  // the byte that every token begins with
};

}  // namespace optscope
