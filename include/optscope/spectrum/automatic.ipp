// SPDX-License-Identifier: MIT
#pragma once
// Bodies of automatic.hpp.

#include <optscope/core/memory.hpp>
#include <optscope/spectrum/automatic.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE candidate_cost::candidate_cost(std::string_view name, std::size_t bytes, double operations,
                                               const automatic_settings& settings) {
  const double minutes = operations / (60 * 25e9 * static_cast<double>(settings.thread_count()));
  text = std::string{name} + " takes " + memory_text(bytes) + " and about " + duration_text(60 * minutes);
  allowed = bytes <= settings.memory_limit() && minutes <= settings.minutes;
}

OPTSCOPE_INLINE std::string allowed_text(const automatic_settings& settings) {
  return memory_text(settings.memory_limit()) + " and " + duration_text(60 * settings.minutes) + " allowed";
}

}  // namespace optscope::detail
