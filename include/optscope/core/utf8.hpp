// SPDX-License-Identifier: MIT
#pragma once
// UTF-8, one code point at a time.

#include <cstddef>
#include <string_view>

namespace optscope::utf8 {

/// How many bytes from the front of `bytes` belong together, and whether they are a whole code point. Of a broken one
/// this is its longest beginning that some valid sequence has, at least one byte: what Unicode replaces by one U+FFFD.
struct sequence {
  std::size_t size;
  bool valid;
};

/// The sequence at the front of `bytes`, which is not empty. Overlong forms, surrogates and numbers past U+10FFFF are
/// broken (RFC 3629).
inline sequence first_sequence(std::string_view bytes) noexcept {
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

}  // namespace optscope::utf8
