// SPDX-License-Identifier: MIT
#pragma once
// Text for pictures: UTF-8, labels that fit, and strings that gnuplot shows as they are.

#include <charconv>
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>

namespace optscope::plot {

namespace detail {

/// Length of the UTF-8 character at the start of `text`, 0 if there is none.
[[nodiscard]] inline std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](std::size_t count) {
    for (std::size_t i = 1; i <= count; ++i)
      if ((byte(i) & 0xc0) != 0x80) return std::size_t{0};
    return count + 1;
  };
  const unsigned first = byte(0);
  if (text.empty() || first < 0x80) return text.empty() ? 0 : 1;
  if (first >= 0xc2 && first < 0xe0) return follows(1);
  if (first >= 0xe0 && first < 0xf0)
    return first == 0xe0 && byte(1) < 0xa0 ? 0 : first == 0xed && byte(1) > 0x9f ? 0 : follows(2);
  if (first >= 0xf0 && first < 0xf5)
    return first == 0xf0 && byte(1) < 0x90 ? 0 : first == 0xf4 && byte(1) > 0x8f ? 0 : follows(3);
  return 0;
}

/// Calls `visit` with every character as its bytes; bytes that are not UTF-8 come as `?`.
template <class Visit>
void for_each_character(std::string_view text, Visit&& visit) {
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    visit(length == 0 ? std::string_view{"?"} : text.substr(0, length));
    text.remove_prefix(length == 0 ? 1 : length);
  }
}

/// Cuts a label to `limit` characters (two at least), the last one an ellipsis.
[[nodiscard]] inline std::string shortened(std::string_view text, std::size_t limit) {
  limit = limit < 2 ? 2 : limit;
  std::string start, whole;
  std::size_t characters = 0;
  for_each_character(text, [&](std::string_view character) {
    if (++characters < limit) start += character;
    whole += character;
  });
  return characters > limit ? start + "…" : whole;
}

}  // namespace detail

/// A gnuplot string literal that shows `text` as it is, whatever it holds: quotes, backslashes, backquotes, `$(...)`.
/// Control characters become spaces, bytes that are not UTF-8 `?`. Where gnuplot would read `_^{}@&~` as markup, add
/// `noenhanced`.
[[nodiscard]] inline std::string gnuplot_string(std::string_view text) {
  std::string literal = "\"";
  detail::for_each_character(text, [&](std::string_view character) {
    const auto byte = static_cast<unsigned char>(character[0]);
    const bool plain = (byte >= '0' && byte <= '9') || (byte >= 'A' && byte <= 'Z') || (byte >= 'a' && byte <= 'z');
    if (byte < 0x20 || byte == 0x7f) {
      literal += ' ';
    } else if (plain || character.size() > 1 || byte == ' ' || byte == '.' || byte == '/' || byte == '-' ||
               byte == '_') {
      literal += character;
    } else {
      literal += {'\\', static_cast<char>('0' + (byte >> 6)), static_cast<char>('0' + (byte >> 3 & 7)),
                  static_cast<char>('0' + (byte & 7))};
    }
  });
  return literal + '"';
}

/// A gnuplot string literal for a file, whose name may hold any bytes.
[[nodiscard]] inline std::string gnuplot_path(const std::filesystem::path& file) {
  std::string literal = "\"";
  for (const char c : std::filesystem::absolute(file).string()) {
    const auto byte = static_cast<unsigned char>(c);
    literal += {'\\', static_cast<char>('0' + (byte >> 6)), static_cast<char>('0' + (byte >> 3 & 7)),
                static_cast<char>('0' + (byte & 7))};
  }
  return literal + '"';
}

/// A number as gnuplot reads it, whatever the locale.
[[nodiscard]] inline std::string number(double value) {
  char buffer[40];
  return {buffer, std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::general, 9).ptr};
}

}  // namespace optscope::plot
