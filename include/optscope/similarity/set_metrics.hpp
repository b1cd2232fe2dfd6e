// SPDX-License-Identifier: MIT
#pragma once
// The concept of a metric of two whole sets of vectors.

#include <concepts>
#include <cstddef>
#include <optscope/core/tensor.hpp>
#include <span>
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
/// * `tensor<double, 2> all_pairs(std::span<const tensor_view<const T, 2>> sets) const` gives the whole matrix (set,
///   set), where that is cheaper than its pairs. `similarity` then calls it and not the call operator.
/// * `static constexpr bool distance = true`, as of a `metric` of vectors.
template <class M, class T = float>
concept set_metric = std::move_constructible<M> && requires(const M& measure, const prepared_set<M, T>& set) {
  { measure(set, set) } -> std::convertible_to<double>;
};

/// A metric of sets that computes the whole matrix at once.
template <class M, class T = float>
concept set_metric_of_all_pairs =
    set_metric<M, T> && requires(const M& measure, std::span<const tensor_view<const T, 2>> sets) {
      { measure.all_pairs(sets) } -> std::same_as<tensor<double, 2>>;
    };

}  // namespace optscope
