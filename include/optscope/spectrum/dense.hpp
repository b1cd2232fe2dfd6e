// SPDX-License-Identifier: MIT
#pragma once
// Operators written out as dense matrices of double, checked and scaled.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope::detail {

/// The accuracy, relative to the largest value, to which an operator can be written out: blocks are in double.
template <class Op>
[[nodiscard]] constexpr double operator_floor() {
  return block_operator<Op> || std::is_same_v<typename Op::scalar, double> ? 1e-14 : 1e-6;
}

/// The largest |element|; throws if one is not finite, naming row and column.
inline double largest_element(tensor_view<const double, 2> matrix, std::size_t first_row) {
  double largest = 0;
  bool finite = true;
  for (std::size_t i = 0; i < matrix.rows(); ++i) {
    for (const double value : matrix.row(i)) {
      const double size = std::abs(value);
      largest = largest < size ? size : largest;
      finite = finite && size <= std::numeric_limits<double>::max();
    }
  }
  for (std::size_t i = 0; !finite && i < matrix.rows(); ++i) {
    for (std::size_t j = 0; j < matrix.cols(); ++j) {
      if (!std::isfinite(matrix(i, j))) {
        throw bad_input{"", "operator, row " + std::to_string(first_row + i) + ", column " + std::to_string(j),
                        "a finite number", std::isnan(matrix(i, j)) ? "NaN" : "infinity"};
      }
    }
  }
  return largest;
}

/// Calls `rows(first, panel (count, cols))` for panels of consecutive rows from the top, each with zeros to the right
/// of what causal blocks reach left out: panel.cols() is at most `op.cols()`. `transposed` gives the columns instead
/// (not for block operators, whose blocks are rows). `go_on(fraction)` may stop it; then the result is false.
template <linear_operator Op, class Rows, class GoOn>
[[nodiscard]] bool for_row_panels(Op& op, bool transposed, std::size_t at_least, Rows&& use, GoOn&& go_on) {
  if constexpr (block_operator<Op>) {
    const std::size_t width = op.width(), tokens = op.tokens(), group = std::max<std::size_t>(1, at_least / width);
    tensor<double, 2> panel{{std::min(group, tokens) * width, op.cols()}};
    for (std::size_t t = 0; t < tokens; t += group) {
      const double done = static_cast<double>(t) / static_cast<double>(tokens);
      if (!go_on(op.causal() ? done * done : done)) return false;
      const std::size_t count = std::min(group, tokens - t), reach = op.causal() ? (t + count) * width : op.cols();
      std::fill_n(panel.data(), count * width * reach, 0.0);
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t first = op.diagonal() ? t + i : 0, last = op.causal() ? t + i + 1 : tokens;
        for (std::size_t u = first; u < last; ++u) {
          op.block(t + i, u,
                   tensor_view<double, 2>{panel.data() + i * width * reach + u * width, {width, width}, reach});
        }
      }
      use(t * width, tensor_view<const double, 2>{panel.data(), {count * width, reach}});
    }
  } else {
    using scalar = typename Op::scalar;
    const std::size_t rows = transposed ? op.cols() : op.rows(), cols = transposed ? op.rows() : op.cols();
    const std::size_t group = std::min<std::size_t>(rows, 64);
    tensor<scalar, 2> unit{{group, rows}}, image{{group, cols}};
    tensor<double, 2> panel{{group, cols}};
    for (std::size_t first = 0; first < rows; first += group) {
      if (!go_on(static_cast<double>(first) / static_cast<double>(rows))) return false;
      const std::size_t count = std::min(group, rows - first);
      std::fill_n(unit.data(), unit.size(), scalar{0});
      for (std::size_t i = 0; i < count; ++i) unit(i, first + i) = 1;
      const auto in = std::as_const(unit).view().slice(0, count);
      const auto out = image.view().slice(0, count);
      transposed ? op.apply(in, out) : op.apply_transposed(in, out);
      std::copy_n(image.data(), count * cols, panel.data());
      use(first, std::as_const(panel).view().slice(0, count));
    }
  }
  return true;
}

/// Power of two by which numbers up to `largest` are to be divided so that their squares neither overflow nor vanish; 0
/// where they are harmless as they are.
[[nodiscard]] inline int safe_exponent(double largest) {
  const int exponent = largest > 0 ? std::ilogb(largest) : 0;
  return std::abs(exponent) > 100 ? exponent : 0;
}

/// Divides `numbers`, of which `matrix` is a view that begins at `first_row`, by 2^exponent, which is returned.
inline int scale_safely(std::span<double> numbers, tensor_view<const double, 2> matrix, std::size_t first_row) {
  const int exponent = safe_exponent(largest_element(matrix, first_row));
  if (exponent != 0) {
    for (double& value : numbers) value = std::ldexp(value, -exponent);
  }
  return exponent;
}

}  // namespace optscope::detail
