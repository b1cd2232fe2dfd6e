// SPDX-License-Identifier: MIT
#pragma once
// The density of a spectrum from quadrature nodes and weights: counts above thresholds with their errors, rank notions.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <vector>

namespace optscope {

/// A number that is sampled: its mean over the probes, and how sure that is.
struct sampled_value {
  double value = 0;
  double sampling = 0;    ///< standard error of the mean over the probes, for random unit vectors
  double resolution = 0;  ///< what a quadrature of this many steps leaves open
  [[nodiscard]] double error() const { return resolution + 2 * sampling; }
};

/// How many singular values lie above a threshold, and how sure that is.
struct spectral_count {
  double threshold = 0;
  double count = 0;
  double sampling = 0;    ///< standard error of the mean over the probes
  double resolution = 0;  ///< a Gauss quadrature of this many steps fixes the count of a probe within ± this
  [[nodiscard]] double error() const { return resolution + 2 * sampling; }
};

/// Gauss quadrature of the spectral measure of each of several random vectors: vector p sees singular value nodes[p][i]
/// with weight weights[p][i]. In addition, the values that were found one by one and the zeros known beforehand.
struct spectral_density {
  std::size_t dimension = 0;     ///< how many singular values the quadrature stands for
  std::size_t zeros = 0;         ///< exact zeros that it leaves out
  std::size_t steps = 0;         ///< of the recurrence: the number of nodes per probe
  std::vector<double> single{};  ///< largest values, computed one by one, descending; the quadrature leaves them out
  std::vector<std::vector<double>> nodes{};    ///< (probe, node), ascending
  std::vector<std::vector<double>> weights{};  ///< (probe, node), sum 1
  /// (probe, node): the Gauss-Radau rule with a node at zero. For sums of sigma it is too small where that of `nodes`
  /// is too large (Golub & Meurant 1994): this many steps do not tell what lies between them. May be empty.
  std::vector<std::vector<double>> radau_nodes{}, radau_weights{};
  /// [probe]: the recurrence came to its end, the nodes are singular values and nothing lies between them; may be
  /// empty.
  std::vector<std::uint8_t> whole{};

  /// The largest singular value; from quadrature it is a lower bound, close where the top of the spectrum is separated.
  [[nodiscard]] double largest() const;

  /// Below this, values cannot be told apart: about 0.35 / steps of the largest value that the quadrature had to
  /// resolve.
  [[nodiscard]] double resolution_limit() const;

  /// Number of singular values above `threshold` >= 0 (absolute).
  ///
  /// The Chebyshev-Markov-Stieltjes inequalities bound the measure below a point between nodes i and i + 1 by the sums
  /// of weights up to i - 1 and up to i + 1; the estimate goes through the middle of each node's step, linear in log
  /// sigma.
  [[nodiscard]] spectral_count above(double threshold) const;

  /// exp(entropy of sigma / sum sigma) (Roy & Vetterli 2007).
  [[nodiscard]] sampled_value effective_rank() const;
  /// sum sigma^2 / sigma_1^2.
  [[nodiscard]] sampled_value stable_rank() const;
  /// (sum sigma^2)^2 / sum sigma^4.
  [[nodiscard]] sampled_value participation_ratio() const;
  /// How many leading values hold this share of sum sigma^2.
  [[nodiscard]] sampled_value energy_rank(double share) const;
};

template <class File>
void fields_of(File& file, spectral_density& density) {
  file(density.dimension, density.zeros, density.steps, density.single, density.nodes, density.weights);
  file(density.radau_nodes, density.radau_weights, density.whole);
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/density.ipp>
#endif
