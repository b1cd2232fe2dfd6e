// SPDX-License-Identifier: MIT
#pragma once
// Bodies of students_quantile.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/students_quantile.hpp>

namespace optscope {

OPTSCOPE_INLINE double students_quantile(double freedom) {
  if (freedom < 3) {  // 12.71, 4.303, 3.182 at 1, 2, 3, straight lines in the logarithms between
    const double at = std::max(freedom, 1.0);
    return at < 2 ? 12.7062 * std::pow(at, std::log2(4.30265 / 12.7062))
                  : 4.30265 * std::pow(at / 2, std::log(3.18245 / 4.30265) / std::log(1.5));
  }
  // Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5).
  constexpr double z = 1.959963984540054, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z, z9 = z7 * z * z;
  const double n = freedom;
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n) +
         (79 * z9 + 776 * z7 + 1482 * z5 - 1920 * z3 - 945 * z) / (92160 * n * n * n * n);
}

}  // namespace optscope
