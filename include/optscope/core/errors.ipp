// SPDX-License-Identifier: MIT
#pragma once
// Bodies of errors.hpp.

#include <optscope/core/errors.hpp>
#include <optscope/core/utf8.hpp>
#include <utility>

namespace optscope {
namespace detail {

OPTSCOPE_INLINE std::string printable(std::string_view text, std::size_t limit) {
  constexpr char digits[] = "0123456789abcdef";
  std::string out;
  std::size_t at = 0;
  while (at < text.size() && at < limit) {
    const auto first = static_cast<unsigned char>(text[at]);
    const utf8::sequence next = utf8::first_sequence(text.substr(at));
    if (next.valid && first >= 0x20 && first != 0x7f &&
        !(first == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0)) {
      out += text.substr(at, next.size);
      at += next.size;
    } else {
      out += "\\x";
      out += digits[first >> 4];
      out += digits[first & 15];
      ++at;
    }
  }
  return at < text.size() ? out + "..." : out;
}

OPTSCOPE_INLINE std::string quoted(std::string_view text) { return '"' + printable(text) + '"'; }

inline std::string error_sentence(const std::string& file, const std::string& item, const std::string& expected,
                                  const std::string& found) {
  std::string text = file;
  if (!item.empty()) text += (text.empty() ? "" : ": ") + item;
  std::string verdict;
  if (!expected.empty()) verdict += "expected " + expected;
  if (!found.empty()) verdict += (verdict.empty() ? "" : ", ") + ("found " + found);
  if (!verdict.empty()) text += (text.empty() ? "" : ": ") + verdict;
  return text;
}

}  // namespace detail

OPTSCOPE_INLINE bad_input::bad_input(std::string file, std::string item, std::string expected, std::string found)
    : bad_input{ready{}, detail::printable(file, 1000), detail::printable(item, 1000),
                detail::printable(expected, 1000), detail::printable(found, 1000)} {}

OPTSCOPE_INLINE bad_input::bad_input(ready, std::string file, std::string item, std::string expected, std::string found)
    : error{detail::error_sentence(file, item, expected, found)},
      file_{std::move(file)},
      item_{std::move(item)},
      expected_{std::move(expected)},
      found_{std::move(found)} {}

}  // namespace optscope
