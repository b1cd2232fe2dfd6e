// SPDX-License-Identifier: MIT
#pragma once
// Metrics of sets by their singular vectors: Procrustes similarity, SVCCA, angles between subspaces.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/factors.hpp>
#include <optscope/similarity/set_metrics.hpp>

namespace optscope {

/// 1 - d²/2, d being the Procrustes distance of two sets with centred columns and Frobenius norm 1: how near a rotation
/// brings one to the other. In [0, 1]; 1 if one set is the other but for a shift, a rotation and a factor. It is the
/// sum of the singular values of XᵀY. 0 if all vectors of a set are equal. The sets can differ in width: the narrower
/// one has zeros added. Williams, Kunz, Kornblith and Linderman, "Generalized shape metrics on neural representations",
/// 2021.
///
/// Cost, as of the other metrics of this header: a thin singular value decomposition of each set, and one of
/// (component, component) for each pair. Throws `bad_input` if two sets have different numbers of vectors, or for
/// elements that are not finite.
struct procrustes {
  static constexpr const char* name = "procrustes";
  static constexpr bool symmetric = true;

  template <class T>
  [[nodiscard]] set_factors prepare(tensor_view<const T, 2> set) const {
    return factors_of(set);
  }
  [[nodiscard]] double operator()(const set_factors& x, const set_factors& y) const;
};

/// Mean canonical correlation of the first principal components of two sets, as many of each as hold `variance` of its
/// variance: in [0, 1], 1 if the components of one are linear functions of the other's. 0 if all vectors of a set are
/// equal. Raghu, Gilmer, Yosinski and Sohl-Dickstein, "SVCCA", 2017.
///
/// Large by chance unless there are many more vectors than components: if two sets of n have n - 1 components together,
/// no correlation of theirs means anything.
struct svcca {
  static constexpr const char* name = "svcca";
  static constexpr bool symmetric = true;
  double variance = 0.99;

  template <class T>
  [[nodiscard]] set_factors prepare(tensor_view<const T, 2> set) const {
    return factors_of(set);
  }
  [[nodiscard]] double operator()(const set_factors& x, const set_factors& y) const;
};

/// Mean principal angle, in radians, between the subspaces that the first `components` principal components of two sets
/// span among the vectors (of scores, so that sets of different width compare): a distance, 0 for the same subspace,
/// pi/2 for orthogonal ones or if all vectors of a set are equal. If one has fewer components, its angles with the
/// other. Björck and Golub, "Numerical methods for computing angles between linear subspaces", 1973.
struct subspace_angles {
  static constexpr const char* name = "subspace_angles";
  static constexpr bool symmetric = true;
  static constexpr bool distance = true;
  std::size_t components = 10;

  template <class T>
  [[nodiscard]] set_factors prepare(tensor_view<const T, 2> set) const {
    return factors_of(set);
  }
  [[nodiscard]] double operator()(const set_factors& x, const set_factors& y) const;
};

static_assert(set_metric<procrustes> && set_metric<procrustes, double>);
static_assert(set_metric<svcca> && set_metric<svcca, double>);
static_assert(set_metric<subspace_angles> && set_metric<subspace_angles, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/subspaces.ipp>
#endif
