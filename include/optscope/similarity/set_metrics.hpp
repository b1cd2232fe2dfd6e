// SPDX-License-Identifier: MIT
#pragma once
// The concept of a metric of two whole sets of vectors, and linear CKA.

#include <concepts>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor.hpp>
#include <utility>

namespace optscope {

namespace detail {
template <class M, class T>
struct prepared {
  using type = tensor_view<const T, 2>;
};
template <class M, class T>
  requires requires(const M& measure, tensor_view<const T, 2> set) { measure.prepare(set); }
struct prepared<M, T> {
  using type = decltype(std::declval<const M&>().prepare(std::declval<tensor_view<const T, 2>>()));
};
}  // namespace detail

/// What a metric of sets compares: the result of its `prepare`, or the set itself, a `tensor_view<const T, 2>`.
template <class M, class T>
using prepared_set = typename detail::prepared<M, T>::type;

/// A measure of how alike two sets of vectors of `T` are: any type with a constant call operator for two sets (vector,
/// width). Row i of both is usually about the same text and position.
///
///     struct distance_of_means {
///       static constexpr bool symmetric = true;
///       double operator()(tensor_view<const float, 2> x, tensor_view<const float, 2> y) const;
///     };
///
/// Optional members:
///
/// * `static constexpr bool symmetric = true`, as of a `metric` of vectors.
/// * `auto prepare(tensor_view<const T, 2> set) const` is called once for each set. The call operator then takes two of
///   its results, of any type: what is expensive and depends on one set alone is computed there.
template <class M, class T = float>
concept set_metric = std::move_constructible<M> && requires(const M& measure, const prepared_set<M, T>& set) {
  { measure(set, set) } -> std::convertible_to<double>;
};

/// Linear centred kernel alignment: the cosine of the Gram matrices of two sets with centred columns, in [0, 1]; 1 if
/// one set is the other but for a shift, a rotation and a factor. The sets can differ in width. NaN if all vectors of a
/// set are equal. Kornblith, Norouzi, Lee and Hinton, "Similarity of neural network representations revisited", 2019.
///
/// Memory: n² doubles for each set of n vectors; cost: n² width for each set, n² for each pair. Throws `bad_input` if
/// two sets have different numbers of vectors.
struct cka {
  static constexpr const char* name = "cka";
  static constexpr bool symmetric = true;

  struct gram_matrix {
    tensor<double, 2> products;  ///< (vector, vector) of the centred vectors
    double norm = 0;             ///< Frobenius norm
  };
  template <class T>
  [[nodiscard]] gram_matrix prepare(tensor_view<const T, 2> set) const;
  [[nodiscard]] double operator()(const gram_matrix& x, const gram_matrix& y) const;
};

static_assert(set_metric<cka> && set_metric<cka, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/set_metrics.ipp>
#endif
