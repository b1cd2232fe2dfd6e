// SPDX-License-Identifier: MIT
#pragma once
// Bodies of symmetric_pair.hpp.

#include <algorithm>
#include <cstddef>
#include <optscope/core/errors.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <optscope/spectrum/symmetric_pair.hpp>
#include <string>

namespace optscope {

OPTSCOPE_INLINE pair_vectors eigenvectors_of_pair(tensor_view<const double, 2> a, tensor_view<const double, 2> b) {
  const std::size_t n = a.rows();
  pair_vectors result{std::vector<double>(n), tensor<double, 2>{{n, n}}};
  if (n == 0) return result;
  // Row-major lower is column-major upper: transposed on the way, so that the lower triangle is what LAPACK reads.
  std::vector<double> left(n * n), right(n * n), values(n), work(1);
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      left[j * n + i] = a(i, j);
      right[j * n + i] = b(i, j);
    }
  }
  std::vector<int> iwork(1);
  const auto solve = [&](int lwork, int liwork) {
    return lapack::sygvd(static_cast<int>(n), left.data(), right.data(), values.data(), work.data(), lwork,
                         iwork.data(), liwork);
  };
  static_cast<void>(solve(-1, -1));
  work.resize(static_cast<std::size_t>(work[0]));
  iwork.resize(static_cast<std::size_t>(iwork[0]));
  const int info = solve(static_cast<int>(work.size()), static_cast<int>(iwork.size()));
  if (info > static_cast<int>(n)) {
    throw error{"eigenvectors_of_pair: the second matrix, " + std::to_string(n) + " x " + std::to_string(n) +
                ", is not positive definite"};
  }
  if (info != 0) throw error{"LAPACK's dsygvd of " + std::to_string(n) + ": info " + std::to_string(info)};
  for (std::size_t i = 0; i < n; ++i) {
    result.values[i] = values[n - 1 - i];
    std::copy_n(left.data() + (n - 1 - i) * n, n, result.rows.row(i).data());
  }
  return result;
}

}  // namespace optscope
