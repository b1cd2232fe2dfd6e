// SPDX-License-Identifier: MIT
#pragma once
// What the readers of checkpoint files share: checked arithmetic, shapes in messages, little-endian numbers.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <span>
#include <string>
#include <string_view>

namespace optscope::detail {

static_assert(std::endian::native == std::endian::little, "checkpoints are little endian and are not swapped");

[[nodiscard]] std::optional<std::size_t> checked_product(std::size_t a, std::size_t b) noexcept;
[[nodiscard]] std::optional<std::size_t> checked_sum(std::size_t a, std::size_t b) noexcept;

/// The product of all extents; nothing if it does not fit.
[[nodiscard]] std::optional<std::size_t> checked_size(std::span<const std::size_t> shape) noexcept;

/// Little-endian number at `offset`; the caller has checked that it is inside.
template <class Number>
[[nodiscard]] Number number_at(std::span<const std::byte> bytes, std::size_t offset) noexcept {
  Number number;
  std::memcpy(&number, bytes.data() + offset, sizeof number);
  return number;
}

[[nodiscard]] inline std::string_view as_text(std::span<const std::byte> bytes) noexcept {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// `[2050, 768]`
[[nodiscard]] std::string shape_text(std::span<const std::size_t> shape);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/detail.ipp>
#endif
