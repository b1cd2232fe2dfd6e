// SPDX-License-Identifier: MIT
#pragma once
// Bodies of spectrum.hpp.

#include <algorithm>
#include <limits>
#include <optscope/core/errors.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <thread>

namespace optscope {

OPTSCOPE_INLINE std::size_t analysis_settings::memory_limit() const {
  return memory != 0 ? memory : available_memory();
}
OPTSCOPE_INLINE std::size_t analysis_settings::thread_count() const {
  return threads != 0 ? threads : std::max<std::size_t>(1, std::thread::hardware_concurrency());
}

namespace detail {

OPTSCOPE_INLINE void require_memory(std::string_view method, const operator_shape& shape, std::size_t bytes,
                                    const analysis_settings& settings, std::string_view instead) {
  const std::size_t limit = settings.memory_limit();
  if (bytes <= limit) return;
  throw bad_input{"", std::string{method} + " of " + std::to_string(shape.rows) + " x " + std::to_string(shape.cols),
                  "at most " + memory_text(limit) + " of memory",
                  memory_text(bytes) + " needed; " + std::string{instead}};
}

OPTSCOPE_INLINE std::size_t quadrature_bytes(const operator_shape& shape, std::size_t probes, std::size_t scalar) {
  return 2 * probes * (shape.rows + shape.cols) * scalar;
}

OPTSCOPE_INLINE std::string sampled_instead(const operator_shape& shape) {
  return "quadrature would work with " + memory_text(quadrature_bytes(shape, 10, sizeof(float)));
}

OPTSCOPE_INLINE void require_size(std::string_view method, const operator_shape& shape) {
  constexpr std::size_t most = std::numeric_limits<int>::max() / 256;  // times the width of a band
  if (shape.rows == 0 || shape.cols == 0 || std::max(shape.rows, shape.cols) > most) {
    throw bad_input{"", std::string{method}, "1 to " + std::to_string(most) + " rows and columns",
                    std::to_string(shape.rows) + " x " + std::to_string(shape.cols)};
  }
}

}  // namespace detail
}  // namespace optscope
