// SPDX-License-Identifier: MIT
#pragma once
// Multidimensional scaling: points in few dimensions whose distances are those given, as nearly as can be.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <vector>

namespace optscope {

/// Where `metric_scaling` ends.
struct scaled_points {
  tensor<double, 2> points{};  ///< (point, dimension), their mean 0
  double stress = 0;           ///< see `stress_of`
  std::size_t iterations = 0;
  bool converged = false;  ///< or else stopped after as many iterations as allowed
};

struct scaling_settings {
  std::size_t most_iterations = 3000;
  double tolerance = 1e-6;  ///< ends when the squared stress falls by less than this share of it
};

/// Classical scaling (Torgerson 1952): the eigenvectors of -J D² J / 2, J taking out the mean, times the square roots
/// of their eigenvalues, the largest first. A dimension without a positive eigenvalue is 0. `distances` (point, point)
/// is symmetric.
[[nodiscard]] tensor<double, 2> classical_scaling(tensor_view<const double, 2> distances, std::size_t dimensions);

/// Metric scaling: minimises the stress by SMACOF (de Leeuw 1977) from `start` (point, dimension), taking steps of
/// double length (de Leeuw and Heiser 1980), which need half as many iterations, and an ordinary one at the end. An
/// iteration takes about n² square roots. The result is the same for any number of threads.
[[nodiscard]] scaled_points metric_scaling(tensor_view<const double, 2> distances, tensor_view<const double, 2> start,
                                           const scaling_settings& settings, thread_pool& pool);

/// The same points, moved to their mean and turned to their principal axes; of each axis, the point farthest from 0 is
/// on the positive side. Distances do not change.
[[nodiscard]] tensor<double, 2> on_principal_axes(tensor_view<const double, 2> points);

/// How badly distances of points fit given ones, 0 being perfect.
struct stress_level {
  double value = 0;  ///< √(Σ (given - s d)² / Σ given²) over all pairs, s being the best scale: Kruskal's stress-1
  /// What there is by chance: the same, expected when the points are exchanged at random.
  double by_chance = 0;
};

/// Of points (point, dimension) and the distances (point, point) that they should have. Both are 0 if all of those are.
[[nodiscard]] stress_level stress_of(tensor_view<const double, 2> distances, tensor_view<const double, 2> points);

/// The same for points (point, width) and their map, whose distances should be those of the points. Memory for 256 rows
/// of distances.
template <class T>
[[nodiscard]] stress_level stress_of_map(tensor_view<const T, 2> points, tensor_view<const double, 2> map,
                                         thread_pool& pool);

/// Mean distance between a point of group i and one of group j: (group, group). The diagonal leaves out a point with
/// itself, and is NaN for a group of one point. `group` [point]: from 0 without gaps.
[[nodiscard]] tensor<double, 2> mean_distances(tensor_view<const double, 2> points,
                                               const std::vector<std::size_t>& group);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/reduction/scaling.ipp>
#endif
