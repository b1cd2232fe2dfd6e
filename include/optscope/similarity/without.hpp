// SPDX-License-Identifier: MIT
#pragma once
// What is taken out of vectors before they are compared, under any metric: their position, or their mean direction.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/vectors.hpp>
#include <span>

namespace optscope {

namespace detail {
template <class T>
[[nodiscard]] tensor<T, 2> take_out_position(tensor_view<const T, 2> vectors, std::span<const std::size_t> position);
template <class T>
[[nodiscard]] tensor<T, 2> take_out_mean_direction(tensor_view<const T, 2> vectors);
}  // namespace detail

/// Vectors (vector, width) without what those of one position have in common: from each, the mean of the vectors of its
/// position is subtracted, and the mean of all is added. `position` [vector]. In the scalar of the vectors.
///
///     similarity<cosine>(without_position(vectors, positions));
///     similarity<rbf>(without_mean_direction(without_position(vectors, positions)));
///
/// A vector that is alone at its position becomes the mean of all. Throws `bad_input` if there are not as many
/// positions as vectors.
template <vector_set Vectors>
[[nodiscard]] auto without_position(const Vectors& vectors, std::span<const std::size_t> position) {
  return detail::take_out_position(detail::set_of_rows<Vectors>{vectors}.view(), position);
}

/// Vectors (vector, width) without their parts along the mean of all of them. If the mean is zero, they stay as they
/// are.
template <vector_set Vectors>
[[nodiscard]] auto without_mean_direction(const Vectors& vectors) {
  return detail::take_out_mean_direction(detail::set_of_rows<Vectors>{vectors}.view());
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/without.ipp>
#endif
