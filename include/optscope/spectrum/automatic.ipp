// SPDX-License-Identifier: MIT
#pragma once
// Bodies of automatic.hpp.

#include <cmath>
#include <optscope/core/memory.hpp>
#include <optscope/spectrum/automatic.hpp>

namespace optscope::detail {

inline std::string minutes_text(double minutes) {
  return std::to_string(static_cast<long>(std::ceil(minutes))) + " min";
}

OPTSCOPE_INLINE candidate_cost::candidate_cost(std::string_view name, std::size_t bytes, double operations,
                                               const automatic_settings& settings) {
  const double minutes = operations / (60 * 25e9 * static_cast<double>(settings.thread_count()));
  text = std::string{name} + " takes " + memory_text(bytes) + " and about " + minutes_text(minutes);
  allowed = bytes <= settings.memory_limit() && minutes <= settings.minutes;
}

OPTSCOPE_INLINE std::string allowed_text(const automatic_settings& settings) {
  return memory_text(settings.memory_limit()) + " and " + minutes_text(settings.minutes) + " allowed";
}

}  // namespace optscope::detail
