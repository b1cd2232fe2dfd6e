// SPDX-License-Identifier: MIT
#pragma once
// Bodies of scaling.hpp.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optscope/reduction/pca.hpp>
#include <optscope/reduction/row_products.hpp>
#include <optscope/reduction/scaling.hpp>
#include <vector>

namespace optscope {
namespace detail {

/// One row of a SMACOF step (Guttman's transform, all weights 1): with r = given / d, the new point
/// (Σ_j r_j (x_i - x_j)) / n goes to `next`; returns the row's Σ (given - d)².
inline double scaling_row(std::size_t i, const double* given, tensor_view<const double, 2> x, double* next) {
  const std::size_t n = x.rows(), dimensions = x.cols();
  const double* own = x.row(i).data();
  double misfit = 0;
  std::fill_n(next, dimensions, 0.0);
  for (std::size_t j = 0; j < n; ++j) {
    const double* other = x.row(j).data();
    double square = 0;
    for (std::size_t c = 0; c < dimensions; ++c) square += (own[c] - other[c]) * (own[c] - other[c]);
    const double distance = std::sqrt(square), difference = given[j] - distance;
    misfit += difference * difference;
    if (distance == 0) continue;
    const double ratio = given[j] / distance;
    for (std::size_t c = 0; c < dimensions; ++c) next[c] += ratio * (own[c] - other[c]);
  }
  for (std::size_t c = 0; c < dimensions; ++c) next[c] /= static_cast<double>(n);
  return misfit;
}

}  // namespace detail

OPTSCOPE_INLINE tensor<double, 2> classical_scaling(tensor_view<const double, 2> distances, std::size_t dimensions) {
  const std::size_t n = distances.rows();
  tensor<double, 2> products{{n, n}}, result{{n, dimensions}};
  std::vector<double> means(n);
  double mean = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      products(i, j) = distances(i, j) * distances(i, j);
      means[i] += products(i, j) / static_cast<double>(n);
    }
    mean += means[i] / static_cast<double>(n);
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) products(i, j) = -(products(i, j) - means[i] - means[j] + mean) / 2;
  }
  if (mean == 0) return result;
  // A few more than are asked for: eigenvalues far below zero can be among the largest in size.
  const detail::large_eigenvectors found = detail::eigenvectors_by_iteration(
      n, dimensions + 5,
      [&](tensor_view<const double, 2> x, tensor_view<double, 2> y) {
        detail::multiply_rows(products, false, x, false, y);
      },
      1e-14, 300, 1);
  std::vector<std::size_t> order(found.values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return found.values[a] > found.values[b]; });
  for (std::size_t k = 0; k < std::min(dimensions, order.size()); ++k) {
    const double value = found.values[order[k]];
    if (value <= 1e-14 * std::abs(found.values[0])) break;
    for (std::size_t i = 0; i < n; ++i) result(i, k) = std::sqrt(value) * found.columns(i, order[k]);
  }
  return result;
}

OPTSCOPE_INLINE scaled_points metric_scaling(tensor_view<const double, 2> distances, tensor_view<const double, 2> start,
                                             const scaling_settings& settings, thread_pool& pool) {
  const std::size_t n = start.rows(), dimensions = start.cols(), rows = 64;
  scaled_points result{.points = tensor<double, 2>{start.shape()}};
  tensor<double, 2>& x = result.points;
  for (std::size_t i = 0; i < n; ++i) std::ranges::copy(start.row(i), x.row(i).begin());
  tensor<double, 2> next{start.shape()};
  std::vector<double> misfits(n);
  double given = 0;
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) given += distances(i, j) * distances(i, j);
  }
  if (given == 0) {
    result.points = tensor<double, 2>{start.shape()};
    result.converged = true;
    return result;
  }
  // The transform of x, and the stress of x itself.
  const auto step = [&] {
    pool.parallel_for((n + rows - 1) / rows, [&](std::size_t block, std::size_t) {
      for (std::size_t i = block * rows; i < std::min(n, (block + 1) * rows); ++i) {
        misfits[i] = detail::scaling_row(i, distances.row(i).data(), x, next.row(i).data());
      }
    });
    return std::accumulate(misfits.begin(), misfits.end(), 0.0) / given;
  };
  double before = step();
  while (result.iterations < settings.most_iterations && !result.converged) {
    for (std::size_t k = 0; k < n * dimensions; ++k) x.data()[k] = 2 * next.data()[k] - x.data()[k];
    const double now = step();
    result.converged = before - now <= settings.tolerance * before;
    before = now;
    ++result.iterations;
  }
  std::copy_n(next.data(), n * dimensions, x.data());
  result.stress = stress_of(distances, x).value;
  return result;
}

OPTSCOPE_INLINE tensor<double, 2> on_principal_axes(tensor_view<const double, 2> points) {
  tensor<double, 2> result = pca(points, points.cols()).coordinates;
  for (std::size_t c = 0; c < result.cols(); ++c) {
    std::size_t farthest = 0;
    for (std::size_t i = 1; i < result.rows(); ++i) {
      if (std::abs(result(i, c)) > std::abs(result(farthest, c)) * (1 + 1e-9)) farthest = i;
    }
    if (result.rows() == 0 || result(farthest, c) >= 0) continue;
    for (std::size_t i = 0; i < result.rows(); ++i) result(i, c) = -result(i, c);
  }
  return result;
}

OPTSCOPE_INLINE stress_level stress_of(tensor_view<const double, 2> distances, tensor_view<const double, 2> points) {
  double misfit = 0, given = 0, given_sum = 0, found = 0, found_sum = 0;
  const std::size_t n = points.rows();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      double square = 0;
      for (std::size_t c = 0; c < points.cols(); ++c) {
        square += (points(i, c) - points(j, c)) * (points(i, c) - points(j, c));
      }
      const double distance = std::sqrt(square), target = distances(i, j);
      misfit += (target - distance) * (target - distance);
      given += target * target;
      given_sum += target;
      found += square;
      found_sum += distance;
    }
  }
  if (given == 0) return {};
  const double pairs = static_cast<double>(n) * static_cast<double>(n - 1) / 2;
  const double product = given_sum / pairs * found_sum;  // the expectation of Σ given d
  return {.value = std::sqrt(misfit / given),
          .by_chance = found > 0 ? std::sqrt(std::max(0.0, 1 - product * product / (given * found))) : 1};
}

}  // namespace optscope
