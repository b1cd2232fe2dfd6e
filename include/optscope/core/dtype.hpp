// SPDX-License-Identifier: MIT
#pragma once
// Element types of files, and their conversion to float and double.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <string_view>

namespace optscope {

/// Element types: floating-point numbers as checkpoints store them, and whole numbers from -127 to 127, which a
/// `matrix_view` has a scale for in each row.
enum class dtype { f16, bf16, f32, f64, i8 };

[[nodiscard]] constexpr std::size_t size_of(dtype type) noexcept {
  return type == dtype::f64 ? 8 : type == dtype::f32 ? 4 : type == dtype::i8 ? 1 : 2;
}

/// Name as in safetensors: `F16`, `BF16`, `F32`, `F64`, `I8`.
[[nodiscard]] constexpr std::string_view name_of(dtype type) noexcept {
  switch (type) {
    case dtype::f16: return "F16";
    case dtype::bf16: return "BF16";
    case dtype::f32: return "F32";
    case dtype::i8: return "I8";
    default: return "F64";
  }
}

/// IEEE half to float: exact, including subnormals, infinities and NaN. Without branches, so that loops vectorise.
[[nodiscard, gnu::always_inline]] inline float half_to_float(std::uint16_t half) noexcept {
  const std::uint32_t magnitude = static_cast<std::uint32_t>(half & 0x7fffu) << 13;
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000u) << 16;
  const std::uint32_t scaled = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f);
  const std::uint32_t special = magnitude | 0x7f800000u;  // exponent all ones: infinity or NaN
  return std::bit_cast<float>((magnitude >= 0x0f800000u ? special : scaled) | sign);
}

[[nodiscard, gnu::always_inline]] inline float bfloat16_to_float(std::uint16_t value) noexcept {
  return std::bit_cast<float>(static_cast<std::uint32_t>(value) << 16);
}

/// Converts `count` little-endian elements at `source`, at any alignment, to `To`, which is float or double.
template <class To>
void convert(const std::byte* source, dtype type, std::size_t count, To* target);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/dtype.ipp>
#endif
