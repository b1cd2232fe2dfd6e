// SPDX-License-Identifier: MIT
#pragma once
// GPT-2's printable symbols for the 256 bytes.

#include <array>
#include <cstddef>
#include <optscope/core/compiled.hpp>
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
[[nodiscard]] std::string symbol(unsigned char byte);

/// The bytes that a vocabulary entry stands for. An entry with a character that stands for no byte (an added token may
/// have one) stands for its own UTF-8, as in Hugging Face's ByteLevel decoder.
[[nodiscard]] std::string bytes_of(std::string_view entry);

}  // namespace optscope::byte_map

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/byte_map.ipp>
#endif
