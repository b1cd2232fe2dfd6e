// SPDX-License-Identifier: MIT
#pragma once
// Bodies of directions.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/errors.hpp>
#include <optscope/spectrum/directions.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <optscope/spectrum/products.hpp>
#include <string>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE leading_directions leading_rows(tensor_view<const double, 2> x, std::size_t count) {
  const std::size_t m = x.rows(), n = x.cols(), smaller = std::min(m, n);
  leading_directions result;
  if (smaller == 0) return result;
  std::vector<double> a, values(smaller), u(n * smaller), vt(smaller * m), work(1);
  for (std::size_t i = 0; i < m; ++i) a.insert(a.end(), x.row(i).begin(), x.row(i).end());
  std::vector<int> iwork(8 * smaller);
  // Row-major x is xᵀ to LAPACK: its left vectors are the directions, one after the other.
  const auto svd = [&](int lwork) {
    return lapack::gesdd(static_cast<int>(n), static_cast<int>(m), a.data(), values.data(), u.data(), vt.data(),
                         work.data(), lwork, iwork.data());
  };
  static_cast<void>(svd(-1));
  work.resize(static_cast<std::size_t>(work[0]));
  if (const int info = svd(static_cast<int>(work.size())); info != 0) {
    throw error{"LAPACK's dgesdd of " + std::to_string(n) + " x " + std::to_string(m) + ": info " +
                std::to_string(info)};
  }
  double whole = 0;
  for (const double value : values) whole += value * value;
  const double noise = values[0] * static_cast<double>(std::max(m, n)) * 2.3e-16;
  std::size_t kept = 0;
  while (kept < std::min(count, smaller) && values[kept] > noise) {
    result.shares.push_back(values[kept] * values[kept] / whole);
    ++kept;
  }
  result.rows = tensor<double, 2>{{kept, n}};
  std::copy_n(u.data(), kept * n, result.rows.data());
  return result;
}

template <class T>
leading_directions hidden_directions(tensor_view<const T, 2> vectors, std::size_t tokens, std::size_t count) {
  const std::size_t width = vectors.cols() / tokens;
  tensor<double, 2> rows{{vectors.rows() * tokens, width}};
  for (std::size_t i = 0; i < vectors.rows(); ++i) std::ranges::copy(vectors.row(i), rows.row(i * tokens).data());
  return leading_rows(rows, count);
}

template <class T>
leading_directions token_directions(tensor_view<const T, 2> vectors, std::size_t tokens, std::size_t count) {
  const std::size_t width = vectors.cols() / tokens;
  tensor<double, 2> rows{{vectors.rows() * width, tokens}};
  for (std::size_t i = 0; i < vectors.rows(); ++i) {
    for (std::size_t t = 0; t < tokens; ++t) {
      for (std::size_t j = 0; j < width; ++j) {
        rows(i * width + j, t) = static_cast<double>(vectors.row(i)[t * width + j]);
      }
    }
  }
  return leading_rows(rows, count);
}

OPTSCOPE_INLINE std::vector<double> principal_angles(tensor_view<const double, 2> a, tensor_view<const double, 2> b) {
  tensor<double, 2> large = leading_rows(a, a.rows()).rows, small = leading_rows(b, b.rows()).rows;
  if (large.rows() < small.rows()) std::swap(large, small);
  const std::size_t p = large.rows(), q = small.rows();
  if (q == 0) return {};
  tensor<double, 2> both{{q, p}};  // cosines are its singular values, sines those of the rest
  product::abt<double>(small.view(), large.view(), both.view());
  const auto values = [&](tensor_view<const double, 2> x) {
    double whole = 0;
    for (std::size_t i = 0; i < x.rows(); ++i) {
      for (const double value : x.row(i)) whole += value * value;
    }
    std::vector<double> found(q, 0.0);
    const leading_directions of = leading_rows(x, q);
    for (std::size_t i = 0; i < of.shares.size(); ++i) found[i] = std::min(1.0, std::sqrt(of.shares[i] * whole));
    return found;
  };
  const std::vector<double> cosines = values(both.view());
  product::ab<double>(both.view(), large.view(), small.view(), -1, 1);
  const std::vector<double> sines = values(small.view());
  std::vector<double> angles(q);
  for (std::size_t i = 0; i < q; ++i) {
    angles[i] = cosines[i] * cosines[i] > 0.5 ? std::asin(sines[q - 1 - i]) : std::acos(cosines[i]);
  }
  return angles;
}

OPTSCOPE_INLINE double overlap(tensor_view<const double, 2> a, tensor_view<const double, 2> b) {
  double sum = 0;
  const std::vector<double> angles = principal_angles(a, b);
  for (const double angle : angles) sum += std::cos(angle) * std::cos(angle);
  return angles.empty() ? 0 : sum / static_cast<double>(angles.size());
}

template <class T>
std::vector<double> share_in(tensor_view<const double, 2> directions, tensor_view<const T, 2> x) {
  std::vector<double> shares;
  for (std::size_t i = 0; i < x.rows(); ++i) {
    double inside = 0, whole = 0;
    for (const T value : x.row(i)) whole += static_cast<double>(value) * static_cast<double>(value);
    for (std::size_t r = 0; r < directions.rows(); ++r) {
      double dot = 0;
      for (std::size_t j = 0; j < x.cols(); ++j) dot += directions.row(r)[j] * static_cast<double>(x.row(i)[j]);
      inside += dot * dot;
    }
    shares.push_back(whole > 0 ? inside / whole : 0);
  }
  return shares;
}

OPTSCOPE_INLINE std::vector<std::vector<double>> vectors_of(const leading_directions& directions) {
  std::vector<std::vector<double>> vectors;
  for (std::size_t i = 0; i < directions.rows.extent(0); ++i) {
    const auto row = directions.rows.row(i);
    vectors.emplace_back(row.begin(), row.end());
  }
  return vectors;
}

#ifdef OPTSCOPE_COMPILED
template leading_directions hidden_directions(tensor_view<const float, 2>, std::size_t, std::size_t);
template leading_directions token_directions(tensor_view<const float, 2>, std::size_t, std::size_t);
template std::vector<double> share_in(tensor_view<const double, 2>, tensor_view<const float, 2>);
template leading_directions hidden_directions(tensor_view<const double, 2>, std::size_t, std::size_t);
template leading_directions token_directions(tensor_view<const double, 2>, std::size_t, std::size_t);
template std::vector<double> share_in(tensor_view<const double, 2>, tensor_view<const double, 2>);
#endif

}  // namespace optscope
