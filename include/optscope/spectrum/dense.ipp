// SPDX-License-Identifier: MIT
#pragma once
// Bodies of dense.hpp.

#include <cmath>
#include <limits>
#include <optscope/core/errors.hpp>
#include <optscope/spectrum/dense.hpp>
#include <string>

namespace optscope::detail {

OPTSCOPE_INLINE double largest_element(tensor_view<const double, 2> matrix, std::size_t first_row) {
  double largest = 0;
  bool finite = true;
  for (std::size_t i = 0; i < matrix.rows(); ++i) {
    for (const double value : matrix.row(i)) {
      const double size = std::abs(value);
      largest = largest < size ? size : largest;
      finite = finite && size <= std::numeric_limits<double>::max();
    }
  }
  if (finite) return largest;
  for (std::size_t i = 0; i < matrix.rows(); ++i) {
    for (std::size_t j = 0; j < matrix.cols(); ++j) {
      if (!std::isfinite(matrix(i, j))) {
        throw bad_input{"", "operator, row " + std::to_string(first_row + i) + ", column " + std::to_string(j),
                        "a finite number", std::isnan(matrix(i, j)) ? "NaN" : "infinity"};
      }
    }
  }
  return largest;
}

OPTSCOPE_INLINE int safe_exponent(double largest) {
  const int exponent = largest > 0 ? std::ilogb(largest) : 0;
  return std::abs(exponent) > 100 ? exponent : 0;
}

OPTSCOPE_INLINE int scale_safely(std::span<double> numbers, tensor_view<const double, 2> matrix,
                                 std::size_t first_row) {
  const int exponent = safe_exponent(largest_element(matrix, first_row));
  if (exponent != 0) {
    for (double& value : numbers) value = std::ldexp(value, -exponent);
  }
  return exponent;
}

}  // namespace optscope::detail
