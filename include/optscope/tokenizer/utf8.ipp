// SPDX-License-Identifier: MIT
#pragma once
// Bodies of utf8.hpp.

#include <simdjson.h>

#include <optscope/core/utf8.hpp>
#include <optscope/tokenizer/utf8.hpp>

namespace optscope::utf8 {

OPTSCOPE_INLINE std::optional<std::size_t> first_error(std::string_view text) noexcept {
  if (simdjson::validate_utf8(text.data(), text.size())) return std::nullopt;
  for (std::size_t i = 0; i < text.size();) {
    const sequence next = first_sequence(text.substr(i));
    if (!next.valid) return i;
    i += next.size;
  }
  return std::nullopt;
}

OPTSCOPE_INLINE std::string replace_errors(std::string text) {
  if (simdjson::validate_utf8(text.data(), text.size())) return text;
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const sequence next = first_sequence(std::string_view{text}.substr(i));
    result += next.valid ? std::string_view{text}.substr(i, next.size) : std::string_view{"\xef\xbf\xbd"};
    i += next.size;
  }
  return result;
}

}  // namespace optscope::utf8
