// SPDX-License-Identifier: MIT
#pragma once
// The null space that a LayerNorm gives a block: each token's mean.

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/block_vectors.hpp>
#include <span>
#include <utility>

namespace optscope::detail {

/// Elements of a token's vector where the operator says so, else 0.
template <class Op>
[[nodiscard]] std::size_t token_width(const Op& op) {
  if constexpr (requires { op.width(), op.tokens(); }) {
    return op.width() * op.tokens() == op.cols() ? op.width() : 0;
  } else {
    return 0;
  }
}

/// Subtracts its mean from each group of `width` neighbours.
template <class T>
void remove_means(std::span<T> x, std::size_t width) {
  for (std::size_t first = 0; first < x.size(); first += width) {
    double sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += static_cast<double>(x[first + i]);
    const T mean = static_cast<T>(sum / static_cast<double>(width));
    for (std::size_t i = 0; i < width; ++i) x[first + i] -= mean;
  }
}

/// Whether the operator takes vectors that are constant on each group of `width` neighbours to zero: measured with a
/// random one against a random vector of the same length.
template <class Op>
[[nodiscard]] bool loses_means(Op& op, std::size_t width, std::uint64_t seed) {
  using scalar = typename Op::scalar;
  tensor<scalar, 2> x{{2, op.cols()}}, y{{2, op.rows()}};
  fill_normal<scalar>(seed, 1, x.row(1));
  tensor<scalar, 2> level{{1, op.cols() / width}};
  fill_normal<scalar>(seed, 2, level.row(0));
  for (std::size_t i = 0; i < op.cols(); ++i) x(0, i) = level(0, i / width);
  op.apply(std::as_const(x).view(), y.view());
  const double rounding = 100 * static_cast<double>(std::numeric_limits<scalar>::epsilon());
  return length<scalar>(y.row(0)) <=
         rounding * length<scalar>(y.row(1)) * length<scalar>(x.row(0)) / length<scalar>(x.row(1));
}

}  // namespace optscope::detail
