// SPDX-License-Identifier: MIT
#pragma once
// Bodies of scaling.hpp.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optscope/reduction/pca.hpp>
#include <optscope/reduction/row_products.hpp>
#include <optscope/reduction/scaling.hpp>
#include <span>
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

inline double squared_distance(std::span<const double> x, std::span<const double> y) {
  double sum = 0;
  for (std::size_t c = 0; c < x.size(); ++c) sum += (x[c] - y[c]) * (x[c] - y[c]);
  return sum;
}

/// Sums over pairs of points of given distances and of those in a map.
struct stress_sums {
  double product = 0, given = 0, given_sum = 0, found = 0, found_sum = 0;

  /// Pairs of point i and those before it; `distances` are from i.
  void add(std::size_t i, std::span<const double> distances, tensor_view<const double, 2> map) {
    for (std::size_t j = 0; j < i; ++j) {
      const double square = squared_distance(map.row(i), map.row(j)), distance = std::sqrt(square);
      product += distances[j] * distance;
      given += distances[j] * distances[j];
      given_sum += distances[j];
      found += square;
      found_sum += distance;
    }
  }
  void add(const stress_sums& other) {
    product += other.product;
    given += other.given;
    given_sum += other.given_sum;
    found += other.found;
    found_sum += other.found_sum;
  }
  [[nodiscard]] stress_level level(std::size_t points) const {
    if (given == 0) return {};
    const auto left = [&](double products) {  // by the map at the best scale
      return found > 0 ? std::sqrt(std::max(0.0, 1 - products * products / (given * found))) : 1;
    };
    const double pairs = static_cast<double>(points) * static_cast<double>(points - 1) / 2;
    return {.value = left(product), .by_chance = left(given_sum / pairs * found_sum)};
  }
};

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
  detail::stress_sums sums;
  for (std::size_t i = 0; i < points.rows(); ++i) sums.add(i, distances.row(i), points);
  return sums.level(points.rows());
}

template <class T>
stress_level stress_of_map(tensor_view<const T, 2> points, tensor_view<const double, 2> map, thread_pool& pool) {
  std::vector<double> mean;
  const tensor<double, 2> centred = detail::centred_points(points, mean);
  std::vector<detail::stress_sums> rows(points.rows());
  detail::for_each_distances(centred, pool, [&](std::size_t i, std::span<const double> squares) {
    std::vector<double> distances(squares.begin(), squares.begin() + static_cast<std::ptrdiff_t>(i));
    for (double& each : distances) each = std::sqrt(std::max(each, 0.0));
    rows[i].add(i, distances, map);
  });
  detail::stress_sums all;
  for (const detail::stress_sums& each : rows) all.add(each);
  return all.level(points.rows());
}

OPTSCOPE_INLINE tensor<double, 2> mean_distances(tensor_view<const double, 2> points,
                                                 const std::vector<std::size_t>& group) {
  const std::size_t groups = group.empty() ? 0 : 1 + *std::ranges::max_element(group);
  std::vector<double> sizes(groups);
  for (const std::size_t each : group) ++sizes[each];
  tensor<double, 2> sums{{groups, groups}};
  for (std::size_t i = 0; i < points.rows(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      sums(group[i], group[j]) += std::sqrt(detail::squared_distance(points.row(i), points.row(j)));
    }
  }
  tensor<double, 2> result{{groups, groups}};
  for (std::size_t a = 0; a < groups; ++a) {
    for (std::size_t b = 0; b < groups; ++b) {
      result(a, b) = a == b ? 2 * sums(a, a) / (sizes[a] * (sizes[a] - 1))  // 0 / 0 for a group of one
                            : (sums(a, b) + sums(b, a)) / (sizes[a] * sizes[b]);
    }
  }
  return result;
}

#ifdef OPTSCOPE_COMPILED
template stress_level stress_of_map(tensor_view<const float, 2>, tensor_view<const double, 2>, thread_pool&);
template stress_level stress_of_map(tensor_view<const double, 2>, tensor_view<const double, 2>, thread_pool&);
#endif

}  // namespace optscope
