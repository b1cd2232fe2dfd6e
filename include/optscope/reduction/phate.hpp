// SPDX-License-Identifier: MIT
#pragma once
// PHATE: a map of points by how a random walk between neighbours spreads from each of them.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/reduction/scaling.hpp>
#include <vector>

namespace optscope {

struct phate_settings {
  std::size_t dimensions = 2;
  std::size_t neighbours = 5;    ///< the distance to this one is the width of a point's kernel
  double decay = 40;             ///< how steeply the kernel falls
  std::size_t time = 0;          ///< steps of the walk; 0: where the entropy bends
  std::size_t landmarks = 2000;  ///< with more points, the walk is between this many clusters of them
  std::size_t components = 100;  ///< principal components that distances are measured in; 0: all
  std::uint64_t seed = 1;        ///< of the first cluster centres
  scaling_settings scaling{};
};

/// What `phate` finds.
struct phate_map {
  tensor<double, 2> points{};     ///< (point, dimension), on principal axes
  std::size_t time = 0;           ///< steps of the walk
  std::vector<double> entropy{};  ///< after 1, 2, … steps
  std::size_t landmarks = 0;      ///< 0: none, the walk is between points
  std::size_t parts = 0;          ///< of the graph, without a path from one to another; more than 1 are far apart
  stress_level stress{};          ///< of the map against the potential distances, of landmarks if there are any
  std::size_t iterations = 0;
  bool converged = false;
  bool flat = false;  ///< the points are all equal: they are all at 0, and nothing was computed
};

/// A map of points (point, width), float or double, from Moon et al., "Visualizing structure and transitions in
/// high-dimensional biological data" (2019): principal components, `alpha_decay_graph`, the walk P, between landmarks
/// if there are many points, P to the power of `time`, the potential -log(P^t + 1e-7), the distances between its rows,
/// and `metric_scaling` of those from `classical_scaling`; points are then between their landmarks as the walk goes.
///
///     tensor<float, 2> vectors = ...;  // (point, width)
///     thread_pool pool;
///     const phate_map map = phate(vectors.view(), {.neighbours = 10}, pool);
///     std::cout << map.points(0, 0) << ", stress " << map.stress.value << '\n';
///
/// The map is the same for any number of threads of the pool. In double; memory: `phate_memory`.
///
/// Throws `bad_input` if there are fewer than `neighbours` + 2 points, if a setting is 0 that must not be, or if an
/// element is not finite, with the point's index.
template <class T>
[[nodiscard]] phate_map phate(tensor_view<const T, 2> points, const phate_settings& settings, thread_pool& pool);

/// About how many bytes `phate` needs at most, besides the points and the graph (24 bytes an edge; a point has from
/// about twice as many edges as `neighbours` to a few hundred).
[[nodiscard]] std::size_t phate_memory(std::size_t points, std::size_t width, const phate_settings& settings);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/reduction/phate.ipp>
#endif
