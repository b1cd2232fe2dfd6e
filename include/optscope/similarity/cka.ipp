// SPDX-License-Identifier: MIT
#pragma once
// Bodies of cka.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/errors.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/similarity/cka.hpp>
#include <optscope/similarity/factors.hpp>
#include <string>
#include <vector>
#include <xtensor-blas/xlinalg.hpp>

namespace optscope::detail {

template <class T>
using cka_sets = std::vector<xt::xtensor<T, 2>>;  // (vector, width) of each, centred

/// Centred, of root mean square 1 so that no product overflows or vanishes, in T.
template <class T>
cka_sets<T> centred_sets(std::span<const tensor_view<const T, 2>> sets) {
  cka_sets<T> result;
  for (const tensor_view<const T, 2>& set : sets) {
    if (set.rows() != sets[0].rows()) {
      throw bad_input{"", "cka", "sets with equally many vectors",
                      std::to_string(sets[0].rows()) + " and " + std::to_string(set.rows())};
    }
    const tensor<double, 2> values = centred(set);
    const double square = xt::sum(xt::square(adapt(values)))();
    const double scale = square > 0 ? std::sqrt(static_cast<double>(set.size()) / square) : 1;
    result.push_back(xt::cast<T>(adapt(values) * scale));
  }
  return result;
}

/// Adds the inner products of all pairs of Gram matrices, K = X Xᵀ, block by block of K's lower triangle.
template <class T>
void add_gram_products(const cka_sets<T>& sets, tensor<double, 2>& sums) {
  constexpr std::size_t size = 256;
  const std::size_t n = sets[0].shape()[0], count = sets.size();
  xt::xtensor<T, 2> block, sums_of_block = xt::empty<T>({count, count});
  for (std::size_t i = 0; i < n; i += size) {
    const std::size_t rows = std::min(size, n - i);
    for (std::size_t j = 0; j <= i; j += size) {
      const std::size_t cols = std::min(size, n - j);
      xt::xtensor<T, 2> blocks = xt::empty<T>({count, rows * cols});
      block = xt::empty<T>({rows, cols});
      for (std::size_t p = 0; p < count; ++p) {
        xt::blas::gemm(xt::view(sets[p], xt::range(i, i + rows), xt::all()),
                       xt::view(sets[p], xt::range(j, j + cols), xt::all()), block, false, true);
        std::copy(block.begin(), block.end(), blocks.data() + p * rows * cols);
      }
      xt::blas::gemm(blocks, blocks, sums_of_block, false, true);
      for (std::size_t k = 0; k < count * count; ++k) {
        sums.data()[k] += (i == j ? 1 : 2) * static_cast<double>(sums_of_block.data()[k]);
      }
    }
  }
}

/// The same by features: <X Xᵀ, Y Yᵀ> = |XᵀY|².
template <class T>
void add_feature_products(const cka_sets<T>& sets, tensor<double, 2>& sums) {
  for (std::size_t p = 0; p < sets.size(); ++p) {
    for (std::size_t q = 0; q <= p; ++q) {
      xt::xtensor<T, 2> products = xt::empty<T>({sets[p].shape()[1], sets[q].shape()[1]});
      xt::blas::gemm(sets[p], sets[q], products, true, false);
      for (const T each : products) sums(p, q) += static_cast<double>(each) * static_cast<double>(each);
      sums(q, p) = sums(p, q);
    }
  }
}

template <class T>
tensor<double, 2> cka_of_all(std::span<const tensor_view<const T, 2>> views, bool debiased) {
  const std::size_t count = views.size();
  tensor<double, 2> sums{{count, count}};
  if (count == 0) return sums;
  const cka_sets<T> sets = centred_sets(views);
  const std::size_t vectors = views[0].rows();
  if (vectors == 0 || (debiased && vectors < cka_debiased::fewest)) return sums;
  const auto n = static_cast<double>(vectors);
  double width = 0;  // of all together
  for (const auto& set : sets) width += static_cast<double>(set.shape()[1]);
  n < width ? add_gram_products(sets, sums) : add_feature_products(sets, sums);
  if (debiased) {
    // <K, L> of matrices without their diagonals, centred for that (Song et al., equation 5, times n (n - 3)). The rows
    // of K sum to zero, so without the diagonal to -K_ii.
    xt::xtensor<double, 2> diagonals = xt::empty<double>({count, vectors});
    for (std::size_t p = 0; p < count; ++p) {
      for (std::size_t i = 0; i < vectors; ++i) {
        const T* row = sets[p].data() + i * sets[p].shape()[1];
        double square = 0;
        for (std::size_t j = 0; j < sets[p].shape()[1]; ++j) square += static_cast<double>(row[j]) * row[j];
        diagonals(p, i) = square;
      }
    }
    const xt::xtensor<double, 1> traces = xt::sum(diagonals, {1});
    xt::xtensor<double, 2> products = xt::empty<double>({count, count});
    xt::blas::gemm(diagonals, diagonals, products, false, true);
    for (std::size_t p = 0; p < count; ++p) {
      for (std::size_t q = 0; q < count; ++q) {
        sums(p, q) += -products(p, q) * n / (n - 2) + traces(p) * traces(q) / ((n - 1) * (n - 2));
      }
    }
  }
  tensor<double, 2> result{{count, count}};
  const double rounding = debiased ? 1e-10 * n * n : 0;  // of sums of size n²
  for (std::size_t p = 0; p < count; ++p) {
    for (std::size_t q = 0; q < count; ++q) {
      if (sums(p, p) <= rounding || sums(q, q) <= rounding) continue;
      const double cosine = sums(p, q) / std::sqrt(sums(p, p) * sums(q, q));
      result(p, q) = p == q ? 1 : std::clamp(cosine, debiased ? -1.0 : 0.0, 1.0);
    }
  }
  return result;
}

#ifdef OPTSCOPE_COMPILED
template tensor<double, 2> cka_of_all(std::span<const tensor_view<const float, 2>>, bool);
template tensor<double, 2> cka_of_all(std::span<const tensor_view<const double, 2>>, bool);
#endif

}  // namespace optscope::detail
