// SPDX-License-Identifier: MIT
#pragma once
// What the methods of this folder share: centred points, matrix products, squared distances of rows, and the largest
// eigenvectors of a symmetric operator.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <span>
#include <vector>

namespace optscope::detail {

/// Points in double, less their mean, which goes into `mean` [width]: (point, width). All zero if nothing but rounding
/// is left. Throws `bad_input` with the point's index if an element is not finite.
template <class T>
[[nodiscard]] tensor<double, 2> centred_points(tensor_view<const T, 2> points, std::vector<double>& mean);

/// c (m, n) = a b, either of them transposed first; on the threads of the BLAS.
void multiply_rows(tensor_view<const double, 2> a, bool a_transposed, tensor_view<const double, 2> b, bool b_transposed,
                   tensor_view<double, 2> c);

/// The squared length of each row.
[[nodiscard]] std::vector<double> squared_lengths(tensor_view<const double, 2> rows);

/// out (m, n): squared distances of the rows of a (m, width) and b (n, width), whose squared lengths are given. From
/// inner products; those that are small compared with the lengths are computed again from differences.
void squared_distances(tensor_view<const double, 2> a, const std::vector<double>& lengths_a,
                       tensor_view<const double, 2> b, const std::vector<double>& lengths_b, tensor_view<double, 2> out,
                       thread_pool& pool);

/// Calls `body(i, distances)` for each row i of `points`, on all threads: its squared distances from all of them, that
/// from itself being 0. Memory for 256 rows of distances.
void for_each_distances(tensor_view<const double, 2> points, thread_pool& pool,
                        const std::function<void(std::size_t, std::span<const double>)>& body);

/// Of a symmetric operator of size n: its `count` eigenvectors of the largest eigenvalues in size.
struct large_eigenvectors {
  tensor<double, 2> columns{};   ///< (n, vector), orthonormal
  std::vector<double> values{};  ///< [vector], the largest in size first
};

/// By iteration of a subspace that is 10 wider, from random columns drawn with `seed`, until the eigenvalues change by
/// less than `tolerance` of the largest, at most `most` times. `apply(x, y)`: y (n, any) = A x.
[[nodiscard]] large_eigenvectors eigenvectors_by_iteration(
    std::size_t n, std::size_t count,
    const std::function<void(tensor_view<const double, 2>, tensor_view<double, 2>)>& apply, double tolerance,
    std::size_t most, std::uint64_t seed);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/reduction/row_products.ipp>
#endif
