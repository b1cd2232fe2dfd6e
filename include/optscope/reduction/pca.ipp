// SPDX-License-Identifier: MIT
#pragma once
// Bodies of pca.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/interop/xtensor.hpp>
#include <optscope/reduction/pca.hpp>
#include <optscope/reduction/row_products.hpp>
#include <random>
#include <utility>
#include <xtensor-blas/xlinalg.hpp>

namespace optscope {

template <class T>
principal_components pca(tensor_view<const T, 2> points, std::size_t components) {
  const std::size_t n = points.rows(), width = points.cols(), smaller = std::min(n, width);
  principal_components result{.coordinates = tensor<double, 2>{{n, components}},
                              .axes = tensor<double, 2>{{components, width}},
                              .variances = std::vector<double>(components)};
  const tensor<double, 2> values = detail::centred_points(points, result.mean);
  if (smaller == 0 || n < 2) return result;
  tensor<double, 2> products{{smaller, smaller}};
  const bool of_points = n < width;
  detail::multiply_rows(values, !of_points, values, of_points, products.view());
  for (std::size_t i = 0; i < smaller; ++i) result.total_variance += products(i, i) / static_cast<double>(n - 1);
  if (result.total_variance == 0) return result;
  const auto [squares, vectors] = xt::linalg::eigh(adapt(products));  // ascending
  const double rounding = 1e-14 * squares(smaller - 1);
  for (std::size_t k = 0; k < std::min(components, smaller); ++k) {
    const std::size_t at = smaller - 1 - k;
    if (squares(at) <= rounding) break;
    const auto axis = result.axes.row(k);
    if (of_points) {  // axis = Xᵀ u / s
      for (std::size_t i = 0; i < n; ++i) {
        const double weight = vectors(i, at) / std::sqrt(squares(at));
        for (std::size_t j = 0; j < width; ++j) axis[j] += weight * values(i, j);
      }
    } else {
      for (std::size_t j = 0; j < width; ++j) axis[j] = vectors(j, at);
    }
    const double largest =
        *std::ranges::max_element(axis, [](double a, double b) { return std::abs(a) < std::abs(b); });
    if (largest < 0) std::ranges::for_each(axis, [](double& each) { each = -each; });
    result.variances[k] = squares(at) / static_cast<double>(n - 1);
  }
  detail::multiply_rows(values, false, result.axes, true, result.coordinates.view());
  return result;
}

template <class T>
double share_by_chance(tensor_view<const T, 2> points, std::size_t components, std::uint64_t seed, std::size_t draws) {
  std::mt19937_64 random{seed};
  tensor<T, 2> exchanged{points.shape()};
  for (std::size_t i = 0; i < points.rows(); ++i) std::ranges::copy(points.row(i), exchanged.row(i).begin());
  double sum = 0;
  for (std::size_t draw = 0; draw < draws; ++draw) {
    for (std::size_t i = points.rows(); i > 1; --i) {
      for (std::size_t j = 0; j < points.cols(); ++j) std::swap(exchanged(i - 1, j), exchanged(random() % i, j));
    }
    const principal_components found = pca(exchanged, components);
    for (std::size_t k = 0; k < components; ++k) sum += found.share(k);
  }
  return draws == 0 ? 0 : sum / static_cast<double>(draws);
}

#ifdef OPTSCOPE_COMPILED
template principal_components pca(tensor_view<const float, 2>, std::size_t);
template principal_components pca(tensor_view<const double, 2>, std::size_t);
template double share_by_chance(tensor_view<const float, 2>, std::size_t, std::uint64_t, std::size_t);
template double share_by_chance(tensor_view<const double, 2>, std::size_t, std::uint64_t, std::size_t);
#endif

}  // namespace optscope
