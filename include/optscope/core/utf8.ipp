// SPDX-License-Identifier: MIT
#pragma once
// Bodies of utf8.hpp.

#include <cstdint>
#include <cstring>
#include <optscope/core/utf8.hpp>

namespace optscope::utf8 {

namespace detail {
/// How many of the first bytes are ASCII, counted in eights.
inline std::size_t ascii_prefix(std::string_view text) noexcept {
  std::size_t size = 0;
  while (text.size() - size >= 8) {
    std::uint64_t bytes;
    std::memcpy(&bytes, text.data() + size, sizeof bytes);
    if ((bytes & 0x8080808080808080u) != 0) break;
    size += 8;
  }
  return size;
}
}  // namespace detail

OPTSCOPE_INLINE sequence first_sequence(std::string_view bytes) noexcept {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned lead = at(0);
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const std::size_t size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  // The second byte decides about overlong forms, surrogates and the end of Unicode.
  const unsigned lowest = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  const unsigned highest = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  if (bytes.size() < 2 || at(1) < lowest || at(1) > highest) return {1, false};
  for (std::size_t i = 2; i < size; ++i) {
    if (bytes.size() <= i || (at(i) & 0xc0) != 0x80) return {i, false};
  }
  return {size, true};
}

OPTSCOPE_INLINE std::optional<std::size_t> first_error(std::string_view text) noexcept {
  std::size_t at = detail::ascii_prefix(text);
  while (at < text.size()) {
    const sequence next = first_sequence(text.substr(at));
    if (!next.valid) return at;
    at += next.size;
    at += detail::ascii_prefix(text.substr(at));
  }
  return std::nullopt;
}

OPTSCOPE_INLINE std::string replace_errors(std::string text) {
  if (!first_error(text)) return text;
  std::string result;
  for (std::size_t i = 0; i < text.size();) {
    const sequence next = first_sequence(std::string_view{text}.substr(i));
    result += next.valid ? std::string_view{text}.substr(i, next.size) : std::string_view{"\xef\xbf\xbd"};
    i += next.size;
  }
  return result;
}

}  // namespace optscope::utf8
