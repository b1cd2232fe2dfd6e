// SPDX-License-Identifier: MIT
#pragma once
// A set of vectors with its mean taken out, as orthonormal columns and singular values.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <vector>

namespace optscope {

/// A set (vector, width) less its mean vector is left · diag(sizes) · R, the rows of R orthonormal: what metrics need
/// that do not change under a rotation of the width.
struct set_factors {
  tensor<double, 2> left{};     ///< (vector, component), orthonormal columns
  std::vector<double> sizes{};  ///< [component]: singular values, descending, without those that are rounding

  [[nodiscard]] std::size_t vectors() const noexcept { return left.extent(0); }
  [[nodiscard]] std::size_t components() const noexcept { return sizes.size(); }
  /// How many of the first components hold this share of the sum of squares; at least one if there is one.
  [[nodiscard]] std::size_t components_of(double share) const;
};

/// By LAPACK's `gesdd`, in double. Vectors that are equal but for rounding have no components. Throws `bad_input` if an
/// element is not finite.
template <class T>
[[nodiscard]] set_factors factors_of(tensor_view<const T, 2> set);

namespace detail {
/// The set in double, less its mean vector: (vector, width). All zero if nothing but rounding is left of it.
template <class T>
[[nodiscard]] tensor<double, 2> centred(tensor_view<const T, 2> set);
}  // namespace detail

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/factors.ipp>
#endif
