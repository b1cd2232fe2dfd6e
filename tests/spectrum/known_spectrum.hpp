// SPDX-License-Identifier: MIT
#pragma once
// Matrices of known singular values: random reflections on both sides of a diagonal.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <random>
#include <vector>

/// (rows, cols) with the given singular values (at most min(rows, cols) of them, the rest zero).
inline optscope::tensor<double, 2> matrix_with(std::size_t rows, std::size_t cols, const std::vector<double>& values,
                                               unsigned seed = 1) {
  optscope::tensor<double, 2> a{{rows, cols}};
  for (std::size_t i = 0; i < values.size(); ++i) a(i, i) = values[i];
  std::mt19937 random{seed};
  std::normal_distribution<double> normal;
  const auto reflect = [&](std::size_t n, auto&& element, std::size_t others) {
    std::vector<double> v(n);
    double squares = 0;
    for (double& x : v) {
      x = normal(random);
      squares += x * x;
    }
    for (std::size_t j = 0; j < others; ++j) {
      double dot = 0;
      for (std::size_t i = 0; i < n; ++i) dot += v[i] * element(i, j);
      for (std::size_t i = 0; i < n; ++i) element(i, j) -= 2 * dot / squares * v[i];
    }
  };
  for (int round = 0; round < 12; ++round) {
    reflect(
        rows, [&](std::size_t i, std::size_t j) -> double& { return a(i, j); }, cols);
    reflect(
        cols, [&](std::size_t i, std::size_t j) -> double& { return a(j, i); }, rows);
  }
  return a;
}

/// From `first` down to `last`, evenly in the logarithm.
inline std::vector<double> log_uniform(std::size_t n, double first, double last) {
  std::vector<double> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = first * std::pow(last / first, n == 1 ? 0 : static_cast<double>(i) / static_cast<double>(n - 1));
  }
  return values;
}

/// Singular values by LAPACK's `dgesdd` alone, descending.
inline std::vector<double> lapack_values(const optscope::tensor<double, 2>& matrix) {
  const auto m = static_cast<int>(matrix.extent(1)), n = static_cast<int>(matrix.rows());  // column-major: transposed
  const auto smaller = static_cast<std::size_t>(std::min(m, n));
  std::vector<double> a(matrix.data(), matrix.data() + matrix.size()), s(smaller), work(1);
  std::vector<double> u(static_cast<std::size_t>(m) * smaller), vt(static_cast<std::size_t>(n) * smaller);
  std::vector<int> iwork(8 * smaller);
  static_cast<void>(
      optscope::lapack::gesdd(m, n, a.data(), s.data(), u.data(), vt.data(), work.data(), -1, iwork.data()));
  work.resize(static_cast<std::size_t>(work[0]));
  static_cast<void>(optscope::lapack::gesdd(m, n, a.data(), s.data(), u.data(), vt.data(), work.data(),
                                            static_cast<int>(work.size()), iwork.data()));
  return s;
}
