// SPDX-License-Identifier: MIT
#pragma once
// Metrics of how far two vectors are apart, in which two short vectors are alike: Euclidean distance, Gaussian kernel.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/metrics.hpp>
#include <span>

namespace optscope {

/// Length of the difference of two vectors: a distance, 0 for equal ones. Two vectors near zero are near each other,
/// whatever their angle.
struct euclidean {
  static constexpr const char* name = "euclidean";
  static constexpr bool symmetric = true;
  static constexpr bool distance = true;

  template <class T>
  [[nodiscard]] double operator()(std::span<const T> x, std::span<const T> y) const;
};

/// exp(-|x - y|² / 2s²), in [0, 1]; 1 for equal vectors, 0.61 at the distance s. s is the median of the distances of
/// all pairs of different vectors of the set (Garreau, Jitkrittum and Kanagawa, "Large sample analysis of the median
/// heuristic", 2017), or their mean if the median is 0; if that is 0, too, all similarities are 1.
///
/// Memory: n²/2 doubles for n vectors while s is found.
class rbf {
 public:
  static constexpr const char* name = "rbf";
  static constexpr bool symmetric = true;

  template <class T>
  void prepare(tensor_view<const T, 2> vectors);
  template <class T>
  [[nodiscard]] double operator()(std::span<const T> x, std::span<const T> y) const;
  [[nodiscard]] double scale() const noexcept { return scale_; }  ///< s

 private:
  double scale_ = 0;
};

static_assert(metric<euclidean> && metric<euclidean, double>);
static_assert(metric_of_prepared_vectors<rbf> && metric_of_prepared_vectors<rbf, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/distances.ipp>
#endif
