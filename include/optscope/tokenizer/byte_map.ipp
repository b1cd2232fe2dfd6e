// SPDX-License-Identifier: MIT
#pragma once
// Bodies of byte_map.hpp.

#include <optscope/core/utf8.hpp>
#include <optscope/tokenizer/byte_map.hpp>

namespace optscope::byte_map {

OPTSCOPE_INLINE std::string symbol(unsigned char byte) {
  const unsigned code = code_points()[byte];
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

OPTSCOPE_INLINE std::string bytes_of(std::string_view entry) {
  static constexpr auto bytes = [] {
    std::array<short, 0x144> result{};
    for (short& byte : result) byte = -1;
    constexpr auto codes = code_points();
    for (std::size_t byte = 0; byte < 256; ++byte) result[codes[byte]] = static_cast<short>(byte);
    return result;
  }();
  std::string result;
  for (std::size_t i = 0; i < entry.size();) {
    const utf8::sequence next = utf8::first_sequence(entry.substr(i));
    const auto first = static_cast<unsigned char>(entry[i]);
    const unsigned code = next.size == 1   ? first
                          : next.size == 2 ? (first & 0x1fu) << 6 | (static_cast<unsigned char>(entry[i + 1]) & 0x3fu)
                                           : 0x144;
    if (!next.valid || code >= bytes.size() || bytes[code] < 0) return std::string{entry};
    result += static_cast<char>(bytes[code]);
    i += next.size;
  }
  return result;
}

}  // namespace optscope::byte_map
