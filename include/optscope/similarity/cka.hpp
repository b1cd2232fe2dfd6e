// SPDX-License-Identifier: MIT
#pragma once
// Linear centred kernel alignment of sets of vectors, and its debiased form.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/set_metrics.hpp>
#include <span>

namespace optscope {

namespace detail {
template <class T>
[[nodiscard]] tensor<double, 2> cka_of_all(std::span<const tensor_view<const T, 2>> sets, bool debiased);
}

/// Linear centred kernel alignment: the cosine of the Gram matrices of two sets with centred columns, in [0, 1]; 1 if
/// one set is the other but for a shift, a rotation and a factor. The sets can differ in width. 0 if all vectors of a
/// set are equal. Kornblith, Norouzi, Lee and Hinton, "Similarity of neural network representations revisited", 2019.
///
/// With fewer vectors than dimensions it is large by chance, near 1 for vectors without structure: see `cka_debiased`.
///
/// All pairs of P sets of n vectors of a width are computed at once, in the vectors' scalar: P n² width operations, or
/// P² n width² if that is less. Memory: a copy of the sets. Throws `bad_input` if two sets have different numbers of
/// vectors, or for elements that are not finite.
struct cka {
  static constexpr const char* name = "cka";
  static constexpr bool symmetric = true;

  template <class T>
  [[nodiscard]] tensor<double, 2> all_pairs(std::span<const tensor_view<const T, 2>> sets) const {
    return detail::cka_of_all(sets, false);
  }
  template <class T>
  [[nodiscard]] double operator()(tensor_view<const T, 2> x, tensor_view<const T, 2> y) const {
    const tensor_view<const T, 2> both[] = {x, y};
    return all_pairs(std::span<const tensor_view<const T, 2>>{both})(0, 1);
  }
};

/// The same without the bias of few vectors: 0 on average for sets that have nothing in common, and then as often below
/// 0 as above, however wide they are; 1 for a set with itself. Nguyen, Raghu and Kornblith, "Do wide and deep networks
/// learn the same things?", 2021, after Song et al., "Feature selection via dependence maximization", 2012.
///
/// Needs four vectors: 0 for fewer, of which it can tell nothing. Else as `cka`.
struct cka_debiased {
  static constexpr const char* name = "cka_debiased";
  static constexpr bool symmetric = true;
  static constexpr std::size_t fewest = 4;  ///< vectors of a set

  template <class T>
  [[nodiscard]] tensor<double, 2> all_pairs(std::span<const tensor_view<const T, 2>> sets) const {
    return detail::cka_of_all(sets, true);
  }
  template <class T>
  [[nodiscard]] double operator()(tensor_view<const T, 2> x, tensor_view<const T, 2> y) const {
    const tensor_view<const T, 2> both[] = {x, y};
    return all_pairs(std::span<const tensor_view<const T, 2>>{both})(0, 1);
  }
};

static_assert(set_metric<cka> && set_metric<cka, double>);
static_assert(set_metric<cka_debiased> && set_metric<cka_debiased, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/cka.ipp>
#endif
