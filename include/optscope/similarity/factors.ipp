// SPDX-License-Identifier: MIT
#pragma once
// Bodies of factors.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optscope/core/errors.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/similarity/factors.hpp>
#include <string>
#include <xtensor-blas/xlinalg.hpp>

namespace optscope {

OPTSCOPE_INLINE std::size_t set_factors::components_of(double share) const {
  double all = 0, sum = 0;
  for (const double size : sizes) all += size * size;
  std::size_t count = 0;
  while (count < sizes.size() && (count == 0 || sum < share * all)) {
    sum += sizes[count] * sizes[count];
    ++count;
  }
  return count;
}

namespace detail {
template <class T>
tensor<double, 2> centred(tensor_view<const T, 2> set) {
  tensor<double, 2> result{set.shape()};
  std::vector<double> mean(set.cols());
  double before = 0, after = 0;
  for (std::size_t i = 0; i < set.rows(); ++i) {
    for (std::size_t j = 0; j < set.cols(); ++j) {
      const auto value = static_cast<double>(set(i, j));
      if (!std::isfinite(value)) {
        throw bad_input{"", "vector " + std::to_string(i), "finite numbers", std::isnan(value) ? "NaN" : "infinity"};
      }
      mean[j] += value / static_cast<double>(set.rows());
      before += value * value;
    }
  }
  for (std::size_t i = 0; i < set.rows(); ++i) {
    for (std::size_t j = 0; j < set.cols(); ++j) {
      result(i, j) = static_cast<double>(set(i, j)) - mean[j];
      after += result(i, j) * result(i, j);
    }
  }
  if (after <= 1e-28 * before) std::fill_n(result.data(), result.size(), 0.0);
  return result;
}
}  // namespace detail

template <class T>
set_factors factors_of(tensor_view<const T, 2> set) {
  const tensor<double, 2> values = detail::centred(set);
  const std::size_t n = set.rows(), width = set.cols();
  if (n == 0 || width == 0) return {.left = tensor<double, 2>{{n, 0}}};
  const auto [left, sizes, right] = xt::linalg::svd(adapt(values), false);
  const double rounding = static_cast<double>(std::max(n, width)) * std::numeric_limits<double>::epsilon() * sizes(0);
  const auto count =
      static_cast<std::size_t>(std::count_if(sizes.begin(), sizes.end(), [&](double size) { return size > rounding; }));
  set_factors result{.left = tensor<double, 2>{{n, count}},
                     .sizes = {sizes.begin(), sizes.begin() + static_cast<std::ptrdiff_t>(count)}};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = 0; k < count; ++k) result.left(i, k) = left(i, k);
  }
  return result;
}

#ifdef OPTSCOPE_COMPILED
template set_factors factors_of(tensor_view<const float, 2>);
template set_factors factors_of(tensor_view<const double, 2>);
template tensor<double, 2> detail::centred(tensor_view<const float, 2>);
template tensor<double, 2> detail::centred(tensor_view<const double, 2>);
#endif

}  // namespace optscope
