// SPDX-License-Identifier: MIT
#pragma once
// UTF-8: where a text stops being valid, and U+FFFD in place of what is not.

#include <simdjson.h>

#include <cstddef>
#include <optional>
#include <optscope/core/utf8.hpp>
#include <string>
#include <string_view>

namespace optscope::utf8 {

/// Byte offset of the first broken sequence; nothing if all of `text` is UTF-8. Some GB/s.
inline std::optional<std::size_t> first_error(std::string_view text) noexcept {
  if (simdjson::validate_utf8(text.data(), text.size())) return std::nullopt;
  for (std::size_t i = 0; i < text.size();) {
    const sequence next = first_sequence(text.substr(i));
    if (!next.valid) return i;
    i += next.size;
  }
  return std::nullopt;
}

/// `text` with U+FFFD for every broken sequence, as Python's `bytes.decode(errors="replace")` has it.
inline std::string replace_errors(std::string text) {
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
