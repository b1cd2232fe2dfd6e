// SPDX-License-Identifier: MIT
#pragma once
// Bodies of pre_tokenizer.hpp, by PCRE2.

#ifndef PCRE2_CODE_UNIT_WIDTH
#define PCRE2_CODE_UNIT_WIDTH 8
#endif
#include <pcre2.h>

#include <algorithm>
#include <new>
#include <optscope/core/errors.hpp>
#include <optscope/tokenizer/pre_tokenizer.hpp>
#include <string>
#include <utility>

namespace optscope {
namespace detail {

// Sets of characters, written for PCRE2: `\s`, `\p{L}`, `\p{N}`, and what `\w` has besides letters.
inline constexpr const char* space_set =
    R"(\t-\r\x20\x85\xa0\x{1680}\x{2000}-\x{200a}\x{2028}\x{2029}\x{202f}\x{205f}\x{3000})";
inline constexpr const char* letter_set =
    R"(\p{L}\x{1c89}-\x{1c8a}\x{a7cb}-\x{a7cd}\x{a7da}-\x{a7dc}\x{105c0}-\x{105f3}\x{10d4a}-\x{10d65})"
    R"(\x{10d6f}-\x{10d85}\x{10ec2}-\x{10ec4}\x{1123f}-\x{11240}\x{11380}-\x{11389}\x{1138b}\x{1138e})"
    R"(\x{11390}-\x{113b5}\x{113b7}\x{113d1}\x{113d3}\x{11bc0}-\x{11be0}\x{11f02}\x{11f04}-\x{11f10})"
    R"(\x{11f12}-\x{11f33}\x{1342f}\x{13441}-\x{13446}\x{13460}-\x{143fa}\x{16100}-\x{1611d})"
    R"(\x{16d40}-\x{16d6c}\x{18cff}\x{1b132}\x{1b155}\x{1df25}-\x{1df2a}\x{1e030}-\x{1e06d})"
    R"(\x{1e4d0}-\x{1e4eb}\x{1e5d0}-\x{1e5ed}\x{1e5f0}\x{2b739}\x{2ebf0}-\x{2ee5d}\x{31350}-\x{323af})";
inline constexpr const char* number_set =
    R"(\p{N}\x{10d40}-\x{10d49}\x{116d0}-\x{116e3}\x{11bf0}-\x{11bf9}\x{11f50}-\x{11f59}\x{16130}-\x{16139})"
    R"(\x{16d70}-\x{16d79}\x{1ccf0}-\x{1ccf9}\x{1d2c0}-\x{1d2d3}\x{1e4f0}-\x{1e4f9}\x{1e5f1}-\x{1e5fa})";
inline constexpr const char* other_word_set =
    R"(\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200c}\x{200d}\x{897}\x{cf3}\x{ece}\x{24b6}-\x{24e9}\x{10d40}-\x{10d49})"
    R"(\x{10d69}-\x{10d6d}\x{10efc}-\x{10eff}\x{11241}\x{113b8}-\x{113c0}\x{113c2}\x{113c5}\x{113c7}-\x{113ca})"
    R"(\x{113cc}-\x{113d0}\x{113d2}\x{113e1}-\x{113e2}\x{116d0}-\x{116e3}\x{11bf0}-\x{11bf9}\x{11f00}-\x{11f01})"
    R"(\x{11f03}\x{11f34}-\x{11f3a}\x{11f3e}-\x{11f42}\x{11f50}-\x{11f5a}\x{13440}\x{13447}-\x{13455})"
    R"(\x{1611e}-\x{16139}\x{16d70}-\x{16d79}\x{1ccf0}-\x{1ccf9}\x{1e08f}\x{1e4ec}-\x{1e4f9})"
    R"(\x{1e5ee}-\x{1e5ef}\x{1e5f1}-\x{1e5fa}\x{1f130}-\x{1f149}\x{1f150}-\x{1f169}\x{1f170}-\x{1f189})";

inline std::string split_pattern() {
  const std::string space = space_set, letter = letter_set, number = number_set;
  // Possessive, because JIT would otherwise keep every step of a long run. White space is group 1; the look-ahead for
  // it is in `end_of_piece`.
  return "'s|'t|'re|'ve|'m|'ll|'d| ?[" + letter + "]++| ?[" + number + "]++| ?[^" + space + letter + number + "]++|([" +
         space + "]++)";
}

inline std::string pcre2_message(int status) {
  char text[200] = "";
  pcre2_get_error_message_8(status, reinterpret_cast<PCRE2_UCHAR8*>(text), sizeof text);
  return text;
}

using pcre2_expression = std::unique_ptr<pcre2_code_8, void (*)(pcre2_code_8*)>;

/// Matches at the beginning only, so nothing is searched for.
inline pcre2_expression compiled_expression(const std::string& pattern) {
  int status = 0;
  std::size_t offset = 0;
  pcre2_expression code{
      pcre2_compile_8(reinterpret_cast<PCRE2_SPTR8>(pattern.data()), pattern.size(),
                      PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED | PCRE2_NO_START_OPTIMIZE, &status, &offset, nullptr),
      pcre2_code_free_8};
  if (!code) throw error{"PCRE2 does not compile the tokenizer's expression: " + pcre2_message(status)};
  return code;
}

}  // namespace detail

struct pre_tokenizer::expression {
  detail::pcre2_expression code;
  bool jit;
};

struct pre_tokenizer::scratch {
  std::unique_ptr<pcre2_match_data_8, void (*)(pcre2_match_data_8*)> match{pcre2_match_data_create_8(2, nullptr),
                                                                           pcre2_match_data_free_8};
};

OPTSCOPE_INLINE pre_tokenizer::pre_tokenizer() {
  auto code = detail::compiled_expression(detail::split_pattern());
  const bool jit = pcre2_jit_compile_8(code.get(), PCRE2_JIT_COMPLETE) == 0;
  expression_ = std::make_shared<expression>(expression{.code = std::move(code), .jit = jit});
}

OPTSCOPE_INLINE std::unique_ptr<pre_tokenizer::scratch, void (*)(pre_tokenizer::scratch*)>
pre_tokenizer::new_scratch() {
  std::unique_ptr<scratch, void (*)(scratch*)> memory{new scratch, [](scratch* s) { delete s; }};
  if (!memory->match) throw std::bad_alloc{};
  return memory;
}

OPTSCOPE_INLINE std::size_t pre_tokenizer::end_of_piece(std::string_view text, std::size_t begin,
                                                        scratch& memory) const {
  const auto subject = reinterpret_cast<PCRE2_SPTR8>(text.data());
  pcre2_match_data_8* const match = memory.match.get();
  const pcre2_code_8* const code = expression_->code.get();
  const int status = expression_->jit
                         ? pcre2_jit_match_8(code, subject, text.size(), begin, 0, match, nullptr)
                         : pcre2_match_8(code, subject, text.size(), begin, PCRE2_NO_UTF_CHECK, match, nullptr);
  if (status < 0) {
    throw error{"PCRE2 at byte " + std::to_string(begin) + " of a text: " + detail::pcre2_message(status)};
  }
  const std::size_t end = pcre2_get_ovector_pointer_8(match)[1];
  if (status != 2 || end == text.size()) return end;
  // White space before a word leaves its last character to the word, unless it has only one: \s+(?!\S)|\s+.
  std::size_t last = end - 1;
  while ((static_cast<unsigned char>(text[last]) & 0xc0) == 0x80) --last;
  return last > begin ? last : end;
}

namespace detail {

OPTSCOPE_INLINE std::string_view first_character(std::string_view text) noexcept {
  std::size_t size = std::min<std::size_t>(1, text.size());
  while (size < text.size() && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) ++size;
  return text.substr(0, size);
}

OPTSCOPE_INLINE std::string_view last_character(std::string_view text) noexcept {
  std::size_t begin = text.size() - std::min<std::size_t>(1, text.size());
  while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80) --begin;
  return text.substr(begin);
}

OPTSCOPE_INLINE bool white_space(std::string_view character) noexcept {
  if (character.size() == 1) return character == " " || (character >= "\t" && character <= "\r");
  if (character.size() == 2) return character == "\u0085" || character == "\u00a0";
  for (const std::string_view known : {"\u1680", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"}) {
    if (character == known) return true;
  }
  return character.size() == 3 && character >= "\u2000" && character <= "\u200a";
}

OPTSCOPE_INLINE bool word_character(std::string_view character) {
  static const pcre2_expression code = compiled_expression("[" + std::string{letter_set} + other_word_set + "]");
  const std::unique_ptr<pcre2_match_data_8, void (*)(pcre2_match_data_8*)> match{pcre2_match_data_create_8(1, nullptr),
                                                                                 pcre2_match_data_free_8};
  if (!match) throw std::bad_alloc{};
  return pcre2_match_8(code.get(), reinterpret_cast<PCRE2_SPTR8>(character.data()), character.size(), 0,
                       PCRE2_NO_UTF_CHECK, match.get(), nullptr) > 0;
}

}  // namespace detail

}  // namespace optscope
