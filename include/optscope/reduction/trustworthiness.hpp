// SPDX-License-Identifier: MIT
#pragma once
// Whether neighbours in a map are neighbours among the points that it shows.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>

namespace optscope {

/// Trustworthiness of a map (Venna and Kaski 2001).
struct trust_level {
  double value = 0;      ///< 1: the nearest neighbours in the map are nearest among the points; see `trustworthiness`
  double by_chance = 0;  ///< its expectation if the points of the map are exchanged at random: about one half
  std::size_t neighbours = 0;  ///< how many of each point were looked at
};

/// 1 - 2 / (n k (2 n - 3 k - 1)) Σ_i Σ_j max(0, r(i, j) - k), j over the k nearest neighbours of i in `map` (point,
/// dimension), r(i, j) being j's rank among the neighbours of i in `points` (point, width). The same as scikit-learn's
/// `trustworthiness` where no two distances are equal; of equal ones in `points` each has the smaller rank, and of
/// equal ones in `map` the point of the smaller index comes first.
///
/// Memory for one row of distances a thread and 256 together. Throws `bad_input` if 2 `neighbours` is not below n, for
/// which it is not defined, or if an element of `points` is not finite.
template <class T>
[[nodiscard]] trust_level trustworthiness(tensor_view<const T, 2> points, tensor_view<const double, 2> map,
                                          std::size_t neighbours, thread_pool& pool);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/reduction/trustworthiness.ipp>
#endif
