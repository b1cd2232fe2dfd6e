// SPDX-License-Identifier: MIT
#pragma once
// Bodies of encode.hpp.

#include <bit>
#include <cmath>
#include <optscope/plot/encode.hpp>

namespace optscope::plot {

OPTSCOPE_INLINE std::string base64(std::span<const std::byte> bytes) {
  constexpr char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t count = bytes.size() - i < 3 ? bytes.size() - i : 3;
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? std::to_integer<std::uint32_t>(bytes[i + k]) : 0);
    text += digits[group >> 18];
    text += digits[group >> 12 & 63];
    text += count > 1 ? digits[group >> 6 & 63] : '=';
    text += count > 2 ? digits[group & 63] : '=';
  }
  return text;
}

OPTSCOPE_INLINE std::uint16_t float_to_half(float value) noexcept {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  const float magnitude = std::abs(value);
  if (std::isnan(value)) return static_cast<std::uint16_t>(sign | 0x7e00u);
  if (magnitude >= 65520.0f) return static_cast<std::uint16_t>(sign | 0x7c00u);
  if (magnitude < 0x1p-14f)
    return static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>(std::lrint(magnitude * 0x1p24f)));
  const std::uint32_t shifted = (bits & 0x7fffffffu) - 0x38000000u;  // exponent bias 127 to 15
  return static_cast<std::uint16_t>(sign | ((shifted + 0xfffu + (shifted >> 13 & 1u)) >> 13));
}

}  // namespace optscope::plot
