// SPDX-License-Identifier: MIT
#pragma once
// GPT-2's split of a text into words, by PCRE2.

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <cstddef>
#include <memory>
#include <new>
#include <optscope/core/errors.hpp>
#include <string>
#include <string_view>

namespace optscope {

/// Cuts text into the pieces of GPT-2's expression, in which no character is lost:
///
///     's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
///
/// `\s`, `\p{L}` and `\p{N}` are those of Hugging Face's tokenizers 0.23, which know Unicode 16 and take U+180E for no
/// space; what was assigned after Unicode 14 is written out, as PCRE2 may be older. JIT where the machine has it.
class pre_tokenizer {
 public:
  pre_tokenizer() {
    const std::string pattern = expression();
    int status = 0;
    std::size_t offset = 0;
    // Every match begins where the one before ended, so nothing is to be searched for.
    code_.reset(
        pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                      PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_NO_START_OPTIMIZE, &status, &offset, nullptr),
        pcre2_code_free);
    if (!code_) throw error{"PCRE2 does not compile GPT-2's expression: " + message(status)};
    jit_ = pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE) == 0;
  }

  /// Calls `word(std::string_view)` for every piece of `text`, in order. `text` must be UTF-8.
  template <class Word>
  void split(std::string_view text, Word&& word) const {
    const std::unique_ptr<pcre2_match_data, void (*)(pcre2_match_data*)> match{pcre2_match_data_create(2, nullptr),
                                                                               pcre2_match_data_free};
    if (!match) throw std::bad_alloc{};
    const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
    const std::size_t* const bounds = pcre2_get_ovector_pointer(match.get());
    for (std::size_t at = 0; at < text.size();) {
      const int status =
          jit_ ? pcre2_jit_match(code_.get(), subject, text.size(), at, 0, match.get(), nullptr)
               : pcre2_match(code_.get(), subject, text.size(), at, PCRE2_NO_UTF_CHECK, match.get(), nullptr);
      if (status < 0) throw error{"PCRE2 at byte " + std::to_string(at) + " of a text: " + message(status)};
      std::size_t end = bounds[1];
      if (status == 2 && end < text.size()) {
        // White space before a word leaves its last character to the word, unless it has only one: \s+(?!\S)|\s+.
        std::size_t last = end - 1;
        while ((static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
        if (last > at) end = last;
      }
      word(text.substr(at, end - at));
      at = end;
    }
  }

 private:
  static std::string expression() {
    const std::string space = R"(\t-\r\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
    const std::string letter =
        R"(\p{L}\x{1c89}-\x{1c8a}\x{a7cb}-\x{a7cd}\x{a7da}-\x{a7dc}\x{105c0}-\x{105f3}\x{10d4a}-\x{10d65})"
        R"(\x{10d6f}-\x{10d85}\x{10ec2}-\x{10ec4}\x{1123f}-\x{11240}\x{11380}-\x{11389}\x{1138b}\x{1138e})"
        R"(\x{11390}-\x{113b5}\x{113b7}\x{113d1}\x{113d3}\x{11bc0}-\x{11be0}\x{11f02}\x{11f04}-\x{11f10})"
        R"(\x{11f12}-\x{11f33}\x{1342f}\x{13441}-\x{13446}\x{13460}-\x{143fa}\x{16100}-\x{1611d})"
        R"(\x{16d40}-\x{16d6c}\x{18cff}\x{1b132}\x{1b155}\x{1df25}-\x{1df2a}\x{1e030}-\x{1e06d})"
        R"(\x{1e4d0}-\x{1e4eb}\x{1e5d0}-\x{1e5ed}\x{1e5f0}\x{2b739}\x{2ebf0}-\x{2ee5d}\x{31350}-\x{323af})";
    const std::string number =
        R"(\p{N}\x{10d40}-\x{10d49}\x{116d0}-\x{116e3}\x{11bf0}-\x{11bf9}\x{11f50}-\x{11f59}\x{16130}-\x{16139})"
        R"(\x{16d70}-\x{16d79}\x{1ccf0}-\x{1ccf9}\x{1d2c0}-\x{1d2d3}\x{1e4f0}-\x{1e4f9}\x{1e5f1}-\x{1e5fa})";
    // Possessive, and white space as group 1 with the look-ahead in `split`: JIT would keep every step of a long run.
    return "'s|'t|'re|'ve|'m|'ll|'d| ?[" + letter + "]++| ?[" + number + "]++| ?[^" + space + letter + number +
           "]++|([" + space + "]++)";
  }

  static std::string message(int status) {
    char text[200] = "";
    pcre2_get_error_message(status, reinterpret_cast<PCRE2_UCHAR*>(text), sizeof text);
    return text;
  }

  std::shared_ptr<pcre2_code> code_;  // never changed after construction: threads may share it
  bool jit_ = false;
};

}  // namespace optscope
