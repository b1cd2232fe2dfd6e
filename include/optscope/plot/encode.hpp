// SPDX-License-Identifier: MIT
#pragma once
// Arrays as text inside a page: little-endian numbers in base64.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <span>
#include <string>

namespace optscope::plot {

/// Base64 (RFC 4648) with padding.
[[nodiscard]] std::string base64(std::span<const std::byte> bytes);

/// The nearest IEEE half, ties to even. Overflow becomes infinity, NaN stays NaN.
[[nodiscard]] std::uint16_t float_to_half(float value) noexcept;

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/encode.ipp>
#endif
