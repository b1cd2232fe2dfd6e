// SPDX-License-Identifier: MIT
#pragma once
// Singular vectors as directions: in token space and hidden space, and how much subspaces of them have in common.

#include <algorithm>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor.hpp>
#include <span>
#include <vector>

namespace optscope {

/// Orthonormal directions, the leading one first, and the share of the whole (sum of squares) that lies along each.
struct leading_directions {
  tensor<double, 2> rows;      ///< (direction, width)
  std::vector<double> shares;  ///< [direction]
};

template <class File>
void fields_of(File& file, leading_directions& directions) {
  file(directions.rows, directions.shares);
}

/// The leading directions of the space of rows: right singular vectors of x (m, n), at most `count`, none of those
/// whose singular value is rounding. Throws `error` if LAPACK does not converge.
[[nodiscard]] leading_directions leading_rows(tensor_view<const double, 2> x, std::size_t count);

/// Directions in hidden space that vectors over (token, hidden) lie along, whatever the tokens: of k such vectors (k,
/// tokens hidden), as analysers give them, the leading directions of their k tokens rows. They can be compared between
/// layers and between texts of any length; similarity metrics and editors take a row.
///
///     const auto top = largest{{.count = 10}}(jacobian);
///     const leading_directions reads = hidden_directions(top.right.view(), jacobian.tokens(), 10);
///     const leading_directions writes = hidden_directions(top.left.view(), jacobian.tokens(), 10);
///     const tensor<float, 2> rows = rounded<float>(writes.rows);
///     similarity<cosine>(rows.view());  // (direction, direction)
///     edit<site::resid_pre>(project_out{vectors_of(reads)});
template <class T>
[[nodiscard]] leading_directions hidden_directions(tensor_view<const T, 2> vectors, std::size_t tokens,
                                                   std::size_t count);

/// Likewise in token space: which tokens the vectors live on, whatever the hidden dimension.
template <class T>
[[nodiscard]] leading_directions token_directions(tensor_view<const T, 2> vectors, std::size_t tokens,
                                                  std::size_t count);

/// Principal angles between the spans of the rows of a (p, n) and b (q, n), ascending, in radians: as many as the
/// smaller span has dimensions. Small ones from sines, as cosines cannot tell them from 0 (Björck & Golub 1973).
[[nodiscard]] std::vector<double> principal_angles(tensor_view<const double, 2> a, tensor_view<const double, 2> b);

/// Mean squared cosine of the principal angles: 1 if one span contains the other, about max(p, q) / n for unrelated
/// ones.
[[nodiscard]] double overlap(tensor_view<const double, 2> a, tensor_view<const double, 2> b);

/// For each row of x (m, n) the share of its square that lies in the span of orthonormal `directions` (r, n); 0 for a
/// row of zeros.
template <class T>
[[nodiscard]] std::vector<double> share_in(tensor_view<const double, 2> directions, tensor_view<const T, 2> x);

/// The directions one by one, as editors take them.
[[nodiscard]] std::vector<std::vector<double>> vectors_of(const leading_directions& directions);

/// The same rows in another scalar: metrics and editors take float.
template <class To, class From>
[[nodiscard]] tensor<To, 2> rounded(const tensor<From, 2>& rows) {
  tensor<To, 2> result{rows.shape()};
  std::transform(rows.data(), rows.data() + rows.size(), result.data(),
                 [](From value) { return static_cast<To>(value); });
  return result;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/directions.ipp>
#endif
