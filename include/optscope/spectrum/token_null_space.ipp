// SPDX-License-Identifier: MIT
#pragma once
// Bodies of token_null_space.hpp.

#include <limits>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/block_vectors.hpp>
#include <optscope/spectrum/token_null_space.hpp>
#include <utility>

namespace optscope::detail {

template <class T>
void remove_means(std::span<T> x, std::size_t width) {
  for (std::size_t first = 0; first < x.size(); first += width) {
    double sum = 0;
    for (std::size_t i = 0; i < width; ++i) sum += static_cast<double>(x[first + i]);
    const T mean = static_cast<T>(sum / static_cast<double>(width));
    for (std::size_t i = 0; i < width; ++i) x[first + i] -= mean;
  }
}

template <class T>
bool loses_means(any_operator<T>& op, std::size_t width, std::uint64_t seed) {
  tensor<T, 2> x{{2, op.cols()}}, y{{2, op.rows()}};
  fill_normal<T>(seed, 1, x.row(1));
  tensor<T, 2> level{{1, op.cols() / width}};
  fill_normal<T>(seed, 2, level.row(0));
  for (std::size_t i = 0; i < op.cols(); ++i) x(0, i) = level(0, i / width);
  op.apply(std::as_const(x).view(), y.view());
  const double rounding = 100 * static_cast<double>(std::numeric_limits<T>::epsilon());
  return length<T>(y.row(0)) <= rounding * length<T>(y.row(1)) * length<T>(x.row(0)) / length<T>(x.row(1));
}

#ifdef OPTSCOPE_COMPILED
template void remove_means(std::span<float>, std::size_t);
template bool loses_means(any_operator<float>&, std::size_t, std::uint64_t);
template void remove_means(std::span<double>, std::size_t);
template bool loses_means(any_operator<double>&, std::size_t, std::uint64_t);
#endif

}  // namespace optscope::detail
