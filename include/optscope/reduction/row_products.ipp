// SPDX-License-Identifier: MIT
#pragma once
// Bodies of row_products.hpp.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optscope/core/errors.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/reduction/row_products.hpp>
#include <random>
#include <span>
#include <string>
#include <xtensor-blas/xlinalg.hpp>

namespace optscope::detail {

template <class T>
tensor<double, 2> centred_points(tensor_view<const T, 2> points, std::vector<double>& mean) {
  tensor<double, 2> result{points.shape()};
  mean.assign(points.cols(), 0);
  double before = 0, after = 0;
  for (std::size_t i = 0; i < points.rows(); ++i) {
    for (std::size_t j = 0; j < points.cols(); ++j) {
      const auto value = static_cast<double>(points(i, j));
      if (!std::isfinite(value)) {
        throw bad_input{"", "point " + std::to_string(i), "finite numbers", std::isnan(value) ? "NaN" : "infinity"};
      }
      mean[j] += value / static_cast<double>(points.rows());
      before += value * value;
    }
  }
  for (std::size_t i = 0; i < points.rows(); ++i) {
    for (std::size_t j = 0; j < points.cols(); ++j) {
      result(i, j) = static_cast<double>(points(i, j)) - mean[j];
      after += result(i, j) * result(i, j);
    }
  }
  if (after <= 1e-28 * before) std::fill_n(result.data(), result.size(), 0.0);
  return result;
}

OPTSCOPE_INLINE void multiply_rows(tensor_view<const double, 2> a, bool a_transposed, tensor_view<const double, 2> b,
                                   bool b_transposed, tensor_view<double, 2> c) {
  using index = xt::blas_index_t;
  const auto number = [](std::size_t value) { return static_cast<index>(std::max<std::size_t>(value, 1)); };
  if (c.size() == 0) return;
  cxxblas::gemm<index>(cxxblas::StorageOrder::RowMajor, a_transposed ? cxxblas::Transpose::Trans : cxxblas::NoTrans,
                       b_transposed ? cxxblas::Transpose::Trans : cxxblas::NoTrans, static_cast<index>(c.rows()),
                       static_cast<index>(c.cols()), static_cast<index>(a_transposed ? a.rows() : a.cols()), 1.0,
                       a.data(), number(a.stride()), b.data(), number(b.stride()), 0.0, c.data(), number(c.stride()));
}

OPTSCOPE_INLINE std::vector<double> squared_lengths(tensor_view<const double, 2> rows) {
  std::vector<double> result(rows.rows());
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    const auto row = rows.row(i);
    result[i] = std::inner_product(row.begin(), row.end(), row.begin(), 0.0);
  }
  return result;
}

OPTSCOPE_INLINE void squared_distances(tensor_view<const double, 2> a, const std::vector<double>& lengths_a,
                                       tensor_view<const double, 2> b, const std::vector<double>& lengths_b,
                                       tensor_view<double, 2> out, thread_pool& pool) {
  multiply_rows(a, false, b, true, out);
  pool.parallel_for(a.rows(), [&](std::size_t i, std::size_t) {
    double* row = out.row(i).data();
    const double* x = a.row(i).data();
    for (std::size_t j = 0; j < b.rows(); ++j) {
      const double lengths = lengths_a[i] + lengths_b[j];
      row[j] = lengths - 2 * row[j];
      if (row[j] > 1e-6 * lengths) continue;
      const double* y = b.row(j).data();
      double sum = 0;
      for (std::size_t k = 0; k < a.cols(); ++k) sum += (x[k] - y[k]) * (x[k] - y[k]);
      row[j] = sum;
    }
  });
}

OPTSCOPE_INLINE void for_each_distances(tensor_view<const double, 2> points, thread_pool& pool,
                                        const std::function<void(std::size_t, std::span<const double>)>& body) {
  constexpr std::size_t most = 256;
  const std::size_t n = points.rows();
  const std::vector<double> lengths = squared_lengths(points);
  tensor<double, 2> block{{std::min(most, n), n}};
  for (std::size_t first = 0; first < n; first += most) {
    const std::size_t count = std::min(most, n - first);
    const tensor_view<const double, 2> rows{points.row(first).data(), {count, points.cols()}, points.stride()};
    const tensor_view<double, 2> out{block.data(), {count, n}};
    squared_distances(rows,
                      {lengths.begin() + static_cast<std::ptrdiff_t>(first),
                       lengths.begin() + static_cast<std::ptrdiff_t>(first + count)},
                      points, lengths, out, pool);
    pool.parallel_for(count, [&](std::size_t i, std::size_t) {
      out(i, first + i) = 0;
      body(first + i, out.row(i));
    });
  }
}

OPTSCOPE_INLINE large_eigenvectors
eigenvectors_by_iteration(std::size_t n, std::size_t count,
                          const std::function<void(tensor_view<const double, 2>, tensor_view<double, 2>)>& apply,
                          double tolerance, std::size_t most, std::uint64_t seed) {
  count = std::min(count, n);
  const std::size_t width = std::min(count + 10, n);
  large_eigenvectors result{.columns = tensor<double, 2>{{n, count}}, .values = std::vector<double>(count)};
  if (count == 0) return result;
  std::mt19937_64 random{seed};
  tensor<double, 2> image{{n, width}};
  for (std::size_t i = 0; i < image.size(); ++i) {
    image.data()[i] = static_cast<double>(random() >> 11) * 0x1p-53 - 0.5;
  }
  for (std::size_t step = 0;; ++step) {
    const auto base = std::get<0>(xt::linalg::qr(adapt(image)));  // orthonormal columns
    tensor<double, 2> columns{{n, width}}, small{{width, width}};
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t k = 0; k < width; ++k) columns(i, k) = base(i, k);
    }
    apply(columns, image);
    multiply_rows(columns, true, image, false, small.view());
    const auto solved = xt::linalg::eigh(adapt(small));
    const auto& values = std::get<0>(solved);
    const auto& vectors = std::get<1>(solved);
    std::vector<std::size_t> order(width);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::sort(order, [&](std::size_t a, std::size_t b) { return std::abs(values(a)) > std::abs(values(b)); });
    double change = 0;
    for (std::size_t k = 0; k < count; ++k) {
      change = std::max(change, std::abs(result.values[k] - values(order[k])));
      result.values[k] = values(order[k]);
    }
    if (step + 1 < most && (step == 0 || change > tolerance * std::abs(result.values[0]))) continue;
    tensor<double, 2> chosen{{width, count}};
    for (std::size_t i = 0; i < width; ++i) {
      for (std::size_t k = 0; k < count; ++k) chosen(i, k) = vectors(i, order[k]);
    }
    multiply_rows(columns, false, chosen, false, result.columns.view());
    return result;
  }
}

#ifdef OPTSCOPE_COMPILED
template tensor<double, 2> centred_points(tensor_view<const float, 2>, std::vector<double>&);
template tensor<double, 2> centred_points(tensor_view<const double, 2>, std::vector<double>&);
#endif

}  // namespace optscope::detail
