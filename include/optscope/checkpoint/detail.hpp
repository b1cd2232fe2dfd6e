// SPDX-License-Identifier: MIT
#pragma once
// What the readers of checkpoint files share: checked arithmetic, shapes in messages, little-endian numbers.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <optscope/core/errors.hpp>
#include <span>
#include <string>
#include <string_view>

namespace optscope::detail {

static_assert(std::endian::native == std::endian::little, "checkpoints are little endian and are not swapped");

[[nodiscard]] inline std::optional<std::size_t> checked_product(std::size_t a, std::size_t b) noexcept {
  if (b != 0 && a > std::numeric_limits<std::size_t>::max() / b) return std::nullopt;
  return a * b;
}

[[nodiscard]] inline std::optional<std::size_t> checked_sum(std::size_t a, std::size_t b) noexcept {
  if (a > std::numeric_limits<std::size_t>::max() - b) return std::nullopt;
  return a + b;
}

/// Product of all extents, nothing if it does not fit.
[[nodiscard]] inline std::optional<std::size_t> checked_size(std::span<const std::size_t> shape) noexcept {
  // A zero anywhere makes the product zero, whatever the others are.
  if (std::find(shape.begin(), shape.end(), std::size_t{0}) != shape.end()) return 0;
  std::optional<std::size_t> size = 1;
  for (const std::size_t extent : shape) {
    if (size) size = checked_product(*size, extent);
  }
  return size;
}

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
[[nodiscard]] inline std::string shape_text(std::span<const std::size_t> shape) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < std::min<std::size_t>(shape.size(), 16); ++axis) {
    text += (axis == 0 ? "" : ", ") + std::to_string(shape[axis]);
  }
  return text + (shape.size() > 16 ? ", ...]" : "]");
}

}  // namespace optscope::detail
