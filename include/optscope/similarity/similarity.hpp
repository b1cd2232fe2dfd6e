// SPDX-License-Identifier: MIT
#pragma once
// Similarity matrices of sets of vectors.

#include <cstddef>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/metrics.hpp>

namespace optscope {

/// Every vector against every other: (vector, vector), symmetric, in the order of the rows of `vectors` (vector,
/// width). The metric is called once a pair; cost n (n + 1) / 2 calls.
///
///     const auto matrix = similarity<scaled_cosine>(probe(site::attn_out{}, layer));
template <class Metric, class T>
  requires metric<Metric, T>
[[nodiscard]] tensor<float, 2> similarity(tensor_view<const T, 2> vectors, Metric measure = {}) {
  if constexpr (requires { measure.prepare(vectors); }) measure.prepare(vectors);
  const std::size_t n = vectors.rows();
  tensor<float, 2> matrix{{n, n}};
  for (std::size_t i = 0; i < n; ++i) {
    const std::span<const T> x = vectors.row(i);
    for (std::size_t j = 0; j <= i; ++j) {
      const std::span<const T> y = vectors.row(j);
      matrix(i, j) = matrix(j, i) = static_cast<float>(measure(x, y));
    }
  }
  return matrix;
}

}  // namespace optscope
