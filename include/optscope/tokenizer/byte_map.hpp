// SPDX-License-Identifier: MIT
#pragma once
// GPT-2's printable symbols for the 256 bytes.

#include <array>
#include <cstddef>
#include <optscope/tokenizer/utf8.hpp>
#include <string>
#include <string_view>

namespace optscope::byte_map {

/// The code point that stands for each byte in vocab.json: itself where printable in Latin-1 (0x21-0x7E, 0xA1-0xAC,
/// 0xAE-0xFF), the other 68 bytes in increasing order from U+0100 (`bytes_to_unicode` of GPT-2's encoder.py).
constexpr std::array<unsigned, 256> code_points() {
  std::array<unsigned, 256> result{};
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
    result[byte] = printable ? byte : next++;
  }
  return result;
}
static_assert(code_points()[' '] == 0x120 && code_points()[0xad] == 0x143);

/// The symbol of a byte as UTF-8.
inline std::string symbol(unsigned char byte) {
  const unsigned code = code_points()[byte];
  if (code < 0x80) return {static_cast<char>(code)};
  return {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 0x3f))};
}

/// The bytes that a vocabulary entry stands for. An entry with a character that stands for no byte (an added token may
/// have one) stands for its own UTF-8, as in Hugging Face's ByteLevel decoder.
inline std::string bytes_of(std::string_view entry) {
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
