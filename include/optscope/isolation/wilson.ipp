// SPDX-License-Identifier: MIT
#pragma once
// Bodies of wilson.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/isolation/wilson.hpp>

namespace optscope {

OPTSCOPE_INLINE interval wilson(std::size_t hits, std::size_t count) {
  if (count == 0) return {.low = 0, .high = 1};
  constexpr double z = 1.959963984540054;
  const auto n = static_cast<double>(count), share = static_cast<double>(hits) / n;
  const double centre = (share + z * z / (2 * n)) / (1 + z * z / n);
  const double half = z / (1 + z * z / n) * std::sqrt(share * (1 - share) / n + z * z / (4 * n * n));
  return {.low = std::max(0.0, centre - half), .high = std::min(1.0, centre + half)};
}

}  // namespace optscope
