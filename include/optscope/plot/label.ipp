// SPDX-License-Identifier: MIT
#pragma once
// Bodies of label.hpp.

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optscope/core/utf8.hpp>
#include <optscope/plot/label.hpp>

namespace optscope::plot {

namespace detail {

OPTSCOPE_INLINE std::string_view take_character(std::string_view& text) {
  const utf8::sequence first = utf8::first_sequence(text);
  const std::string_view character = first.valid ? text.substr(0, first.size) : std::string_view{"?"};
  text.remove_prefix(first.valid ? first.size : 1);
  return character;
}

OPTSCOPE_INLINE std::string shortened(std::string_view text, std::size_t limit) {
  limit = std::max<std::size_t>(limit, 2);
  std::string start, whole;
  std::size_t characters = 0;
  while (!text.empty()) {
    const std::string_view character = take_character(text);
    ++characters;
    if (characters < limit) start += character;
    whole += character;
  }
  return characters > limit ? start + "…" : whole;
}

/// A backslash and three octal digits, which gnuplot reads as that byte.
inline std::string octal_escape(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return {'\\', static_cast<char>('0' + (byte >> 6)), static_cast<char>('0' + (byte >> 3 & 7)),
          static_cast<char>('0' + (byte & 7))};
}

}  // namespace detail

OPTSCOPE_INLINE std::string gnuplot_string(std::string_view text) {
  std::string literal = "\"";
  while (!text.empty()) {
    const std::string_view character = detail::take_character(text);
    const char c = character[0];
    const bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == ' ' ||
                       c == '.' || c == '/' || c == '-' || c == '_';
    const bool control = (c >= 0 && c < 0x20) || c == 0x7f;
    if (control) {
      literal += ' ';
    } else if (plain || character.size() > 1) {
      literal += character;
    } else {
      literal += detail::octal_escape(c);
    }
  }
  return literal + '"';
}

OPTSCOPE_INLINE std::string gnuplot_tick(std::string_view text, double place) {
  std::string format;
  for (const char c : text) format += c == '%' ? std::string{"%%"} : std::string{c};
  return gnuplot_string(format) + " " + gnuplot_number(place);
}

OPTSCOPE_INLINE std::string gnuplot_path(const std::filesystem::path& file) {
  std::string literal = "\"";
  for (const char c : std::filesystem::absolute(file).string()) literal += detail::octal_escape(c);
  return literal + '"';
}

OPTSCOPE_INLINE std::string gnuplot_number(double value) {
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 9).ptr};
}

}  // namespace optscope::plot
