// SPDX-License-Identifier: MIT
#pragma once
// The random walk of PHATE: a graph of neighbours with the alpha-decay kernel, landmarks, and how many steps to take.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <vector>

namespace optscope {

/// A symmetric matrix of weights between points, row by row; the diagonal is 1.
struct neighbour_graph {
  std::vector<std::size_t> first{};   ///< [point + 1]: where its row begins in the other two
  std::vector<std::size_t> column{};  ///< ascending within a row
  std::vector<double> weight{};

  [[nodiscard]] std::size_t points() const noexcept { return first.empty() ? 0 : first.size() - 1; }
  /// How many parts there are without a path from one to another.
  [[nodiscard]] std::size_t parts() const;
  /// [point]: the sum of its row.
  [[nodiscard]] std::vector<double> degrees() const;
};

/// The alpha-decay kernel (Moon et al. 2019, equation 2): K(x, y) = (exp(-(|x - y| / ε(x))^decay) + exp(-(|x - y| /
/// ε(y))^decay)) / 2, ε being the distance from a point to its `neighbours`-th nearest other one. Terms below 1e-4 are
/// left out, so that a large `decay` makes few neighbours. Where ε is 0, as many points being the same, the term is 1
/// at distance 0, else 0.
///
/// `points` (point, width), centred. Takes n² width multiplications, in double. Throws `bad_input` if there are fewer
/// than `neighbours` + 2 points.
[[nodiscard]] neighbour_graph alpha_decay_graph(tensor_view<const double, 2> points, std::size_t neighbours,
                                                double decay, thread_pool& pool);

/// A random walk: the probability of going from state i to state j in one step, states being the points, or landmarks.
struct diffusion {
  tensor<double, 2> step{};        ///< (state, state), rows sum to 1
  std::vector<double> weights{};   ///< [state]: weights(i) step(i, j) is symmetric
  neighbour_graph to_landmarks{};  ///< row i: the probabilities of going from point i to each landmark; empty: none

  /// |Eigenvalues| of `step`, descending.
  [[nodiscard]] std::vector<double> eigenvalues() const;
  /// Values of states (state, any) carried over to the points: their means over where a point goes.
  [[nodiscard]] tensor<double, 2> at_points(tensor_view<const double, 2> of_states) const;
};

/// The walk from point to point: the rows of the graph, divided by their sums.
[[nodiscard]] diffusion diffusion_of(const neighbour_graph& graph);

/// The walk from landmark to landmark by way of the points. Landmarks are at most `count` clusters: by k-means, from a
/// k-means++ start drawn with `seed`, of the points' coordinates on the 100 largest eigenvectors of D^-1/2 K D^-1/2,
/// after one step of the walk.
[[nodiscard]] diffusion landmark_diffusion(const neighbour_graph& graph, std::size_t count, std::uint64_t seed,
                                           thread_pool& pool);

/// Von Neumann entropy of the walk after 1, 2, … `most` steps: of the eigenvalues to that power, divided by their sum.
[[nodiscard]] std::vector<double> entropy_of_steps(const std::vector<double>& eigenvalues, std::size_t most = 100);

/// The probabilities of going from state to state in `steps` steps, at least 1: `step` (state, state) to that power.
[[nodiscard]] tensor<double, 2> probabilities_after(tensor<double, 2> step, std::size_t steps);

/// Distances between the rows of -log(p + 1e-7), the potential of where each state goes: (state, state).
[[nodiscard]] tensor<double, 2> potential_distances(tensor<double, 2> probabilities, thread_pool& pool);

/// Where a curve bends: the place i for which two lines of least squares, through [0, i] and [i, end), leave the
/// smallest sum of absolute residuals. 0 for fewer than three values.
[[nodiscard]] std::size_t knee_of(const std::vector<double>& values);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/reduction/diffusion.ipp>
#endif
