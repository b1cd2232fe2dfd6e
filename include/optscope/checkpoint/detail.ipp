// SPDX-License-Identifier: MIT
#pragma once
// Bodies of detail.hpp.

#include <algorithm>
#include <limits>
#include <optscope/checkpoint/detail.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE std::optional<std::size_t> checked_product(std::size_t a, std::size_t b) noexcept {
  if (b != 0 && a > std::numeric_limits<std::size_t>::max() / b) return std::nullopt;
  return a * b;
}

OPTSCOPE_INLINE std::optional<std::size_t> checked_sum(std::size_t a, std::size_t b) noexcept {
  if (a > std::numeric_limits<std::size_t>::max() - b) return std::nullopt;
  return a + b;
}

OPTSCOPE_INLINE std::optional<std::size_t> checked_size(std::span<const std::size_t> shape) noexcept {
  // A zero anywhere makes the product zero, even if the product of the rest would not fit.
  if (std::find(shape.begin(), shape.end(), std::size_t{0}) != shape.end()) return 0;
  std::optional<std::size_t> size = 1;
  for (const std::size_t extent : shape) {
    if (size) size = checked_product(*size, extent);
  }
  return size;
}

OPTSCOPE_INLINE std::string shape_text(std::span<const std::size_t> shape) {
  std::string text = "[";
  for (std::size_t axis = 0; axis < std::min<std::size_t>(shape.size(), 16); ++axis) {
    text += (axis == 0 ? "" : ", ") + std::to_string(shape[axis]);
  }
  return text + (shape.size() > 16 ? ", ...]" : "]");
}

}  // namespace optscope::detail
