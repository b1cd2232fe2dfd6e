// SPDX-License-Identifier: MIT
#pragma once
// Cosines of vectors that are centred, whitened or reduced to principal components first.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/metrics.hpp>
#include <span>
#include <vector>

namespace optscope {

/// Cosine of vectors less the mean vector of the set. Of two vectors it is -1, whatever they are, and of n without
/// structure -1/(n - 1) on average.
struct centred_cosine : cosine {
  static constexpr const char* name = "centred_cosine";

  template <class T>
  [[nodiscard]] tensor<double, 2> prepare(tensor_view<const T, 2> vectors) const;
};

/// Cosine of centred vectors in their first principal components: as many as hold `variance` of the variance.
struct pca_cosine : cosine {
  static constexpr const char* name = "pca_cosine";
  double variance = 0.9;

  template <class T>
  [[nodiscard]] tensor<double, 2> prepare(tensor_view<const T, 2> vectors) const;
};

/// Cosine of centred vectors in coordinates in which the covariance is the identity, so that no direction counts more
/// than another. The covariance is that of the set, or a running one of more vectors than are compared:
///
///     running<running_covariance, site::resid_post> all;
///     opt.run(texts, all);
///     const auto& found = all(site::resid_post{}, 3);
///     similarity(probe(site::resid_post{}, 3), whitened_cosine{found.mean(), found.covariance(), found.count()});
///
/// It is shrunk towards a multiple of the identity, as much as its count of vectors asks for (Chen, Wiesel, Eldar and
/// Hero, "Shrinkage algorithms for MMSE covariance estimation", 2010: OAS, as in scikit-learn); without that, fewer
/// vectors than dimensions would all be orthogonal.
class whitened_cosine : public cosine {
 public:
  static constexpr const char* name = "whitened_cosine";

  whitened_cosine() = default;  ///< by the covariance of the set
  /// mean (width), covariance (width, width), divided by `count`, the number of vectors it is of.
  whitened_cosine(std::vector<double> mean, tensor<double, 2> covariance, std::size_t count);

  /// Throws `bad_input` if the vectors and the covariance differ in width.
  template <class T>
  [[nodiscard]] tensor<double, 2> prepare(tensor_view<const T, 2> vectors) const;

 private:
  std::vector<double> mean_;
  tensor<double, 2> directions_;  // (width, component): whitening
};

/// The share of the identity in OAS's covariance, in [0, 1]: `trace` and `squares` are the sums of the eigenvalues of
/// the covariance of `count` vectors of this width, and of their squares.
[[nodiscard]] double shrinkage_by_oas(double trace, double squares, std::size_t width, std::size_t count);

static_assert(metric_of_changed_vectors<centred_cosine> && metric_of_changed_vectors<centred_cosine, double>);
static_assert(metric_of_changed_vectors<pca_cosine> && metric_of_changed_vectors<pca_cosine, double>);
static_assert(metric_of_changed_vectors<whitened_cosine> && metric_of_changed_vectors<whitened_cosine, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/cosines.ipp>
#endif
