// SPDX-License-Identifier: MIT
#pragma once
// Bodies of json_writer.hpp.

#include <charconv>
#include <cmath>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/utf8.hpp>

namespace optscope {

namespace detail {
template <class Number>
std::string json_number(Number number) {
  char buffer[40];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  return {buffer, end};
}
}  // namespace detail

OPTSCOPE_INLINE json_writer& json_writer::value(std::string_view string) {
  if (utf8::first_error(string)) return value(std::string_view{utf8::replace_errors(std::string{string})});
  separate();
  text_ += '"';
  for (const char c : string) {
    if (c == '"' || c == '\\') {
      text_ += '\\';
      text_ += c;
    } else if (c == '\n') {
      text_ += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == '<' || c == 0x7f) {
      constexpr char digits[] = "0123456789abcdef";
      text_ += "\\u00";
      text_ += digits[static_cast<unsigned char>(c) >> 4];
      text_ += digits[c & 15];
    } else {
      text_ += c;
    }
  }
  text_ += '"';
  return *this;
}

OPTSCOPE_INLINE json_writer& json_writer::raw(std::string_view json) {
  separate();
  text_ += json;
  return *this;
}

OPTSCOPE_INLINE json_writer& json_writer::open(char bracket) {
  separate();
  text_ += bracket;
  fresh_ = true;
  return *this;
}

OPTSCOPE_INLINE json_writer& json_writer::close(char bracket) {
  text_ += bracket;
  fresh_ = false;
  return *this;
}

OPTSCOPE_INLINE json_writer& json_writer::floating(float number) {
  return raw(std::isfinite(number) ? detail::json_number(number) : "null");
}
OPTSCOPE_INLINE json_writer& json_writer::floating(double number) {
  return raw(std::isfinite(number) ? detail::json_number(number) : "null");
}
OPTSCOPE_INLINE json_writer& json_writer::integer(long long number) { return raw(detail::json_number(number)); }
OPTSCOPE_INLINE json_writer& json_writer::integer(unsigned long long number) {
  return raw(detail::json_number(number));
}

OPTSCOPE_INLINE void json_writer::separate() {
  if (!fresh_) text_ += ',';
  fresh_ = false;
}

}  // namespace optscope
