// SPDX-License-Identifier: MIT
#pragma once
// The density of a spectrum from quadrature nodes and weights: counts above thresholds with their errors, rank notions.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace optscope {

/// A number that is sampled: its mean over the probes and the standard error of that mean (NaN from one probe alone).
struct sampled_value {
  double value = 0;
  double error = 0;
};

/// How many singular values lie above a threshold, and how sure that is.
struct spectral_count {
  double threshold = 0;
  double count = 0;
  double sampling = 0;    ///< standard error over the probes
  double resolution = 0;  ///< the Gauss quadrature of so many steps fixes the count of a probe within ± this
  [[nodiscard]] double error() const { return resolution + (std::isnan(sampling) ? 0 : 2 * sampling); }
};

/// Gauss quadrature of the spectral measure of each of several random vectors: vector p sees singular value nodes[p][i]
/// with weight weights[p][i]. Beside it stand the values that were found one by one and the zeros known beforehand.
struct spectral_density {
  std::size_t dimension = 0;   ///< how many singular values the quadrature stands for
  std::size_t zeros = 0;       ///< exact zeros that it leaves out
  std::size_t steps = 0;       ///< of the recurrence, the number of nodes a probe
  std::vector<double> single;  ///< largest values, computed one by one, descending; the quadrature leaves them out
  std::vector<std::vector<double>> nodes;    ///< (probe, node), ascending
  std::vector<std::vector<double>> weights;  ///< (probe, node), sum 1
  /// [probe]: the recurrence came to its end, the nodes are singular values and nothing lies between them; may be
  /// empty.
  std::vector<std::uint8_t> whole;

  /// The largest singular value; from quadrature it is a lower bound, close where the top of the spectrum is separated.
  [[nodiscard]] double largest() const {
    double most = single.empty() ? 0 : single.front();
    for (const auto& probe : nodes) most = std::max(most, probe.empty() ? 0 : probe.back());
    return most;
  }

  /// Below this nothing is told apart: about 0.35 / steps of the largest value that the quadrature had to resolve.
  [[nodiscard]] double resolution_limit() const {
    double most = 0;
    for (const auto& probe : nodes) most = std::max(most, probe.empty() ? 0 : probe.back());
    return steps == 0 ? most : 0.35 / static_cast<double>(steps) * most;
  }

  /// Number of singular values above `threshold` >= 0 (absolute).
  ///
  /// The Chebyshev-Markov-Stieltjes inequalities bound the measure below a point between nodes i and i + 1 by the sums
  /// of weights up to i - 1 and up to i + 1; the estimate goes through the middle of each node's step, linear in log
  /// sigma.
  [[nodiscard]] spectral_count above(double threshold) const {
    spectral_count result{threshold, 0, 0, 0};
    const auto n = static_cast<double>(dimension);
    double doubt = 0;
    const sampled_value below = mean([&](std::size_t probe) {
      doubt += uncertainty(probe, threshold);
      return below_of(probe, threshold);
    });
    for (const double value : single) result.count += value > threshold;
    result.count += n * (1 - below.value);
    result.sampling = n * below.error;
    result.resolution = nodes.empty() ? 0 : n * doubt / static_cast<double>(nodes.size());
    return result;
  }

  /// exp(entropy of sigma / sum sigma) (Roy & Vetterli 2007).
  [[nodiscard]] sampled_value effective_rank() const {
    return mean([&](std::size_t probe) {
      const double sum = total(probe, [](double s) { return s; });
      const double log_sum = total(probe, [](double s) { return s > 0 ? s * std::log(s) : 0; });
      return sum > 0 ? std::exp(std::log(sum) - log_sum / sum) : 0;
    });
  }
  /// sum sigma^2 / sigma_1^2.
  [[nodiscard]] sampled_value stable_rank() const {
    const double top = largest();
    return mean(
        [&](std::size_t probe) { return top > 0 ? total(probe, [&](double s) { return (s / top) * (s / top); }) : 0; });
  }
  /// (sum sigma^2)^2 / sum sigma^4.
  [[nodiscard]] sampled_value participation_ratio() const {
    const double top = largest();
    return mean([&](std::size_t probe) {
      const double second = total(probe, [&](double s) { return (s / top) * (s / top); });
      const double fourth = total(probe, [&](double s) { return std::pow(s / top, 4); });
      return fourth > 0 ? second * second / fourth : 0;
    });
  }
  /// How many leading values hold this share of sum sigma^2.
  [[nodiscard]] sampled_value energy_rank(double share) const {
    return mean([&](std::size_t probe) {
      const double wanted = share * total(probe, [](double s) { return s * s; });
      double energy = 0, count = 0;
      const auto take = [&](double value, double many) {
        const double here = many * value * value;
        const double part = energy >= wanted || here == 0 ? 0 : std::min(1.0, (wanted - energy) / here);
        energy += here;
        count += part * many;
      };
      for (const double value : single) take(value, 1);
      for (std::size_t i = nodes[probe].size(); i-- > 0;) {
        take(nodes[probe][i], weights[probe][i] * static_cast<double>(dimension));
      }
      return count;
    });
  }

 private:
  template <class Function>
  [[nodiscard]] sampled_value mean(Function&& of_probe) const {
    if (nodes.empty()) return {};
    double sum = 0, squares = 0;
    const auto count = static_cast<double>(nodes.size());
    std::vector<double> found;
    for (std::size_t probe = 0; probe < nodes.size(); ++probe) sum += found.emplace_back(of_probe(probe));
    for (const double value : found) squares += (value - sum / count) * (value - sum / count);
    const double error =
        nodes.size() < 2 ? std::numeric_limits<double>::quiet_NaN() : std::sqrt(squares / (count - 1) / count);
    return {sum / count, error};
  }

  /// sum of f(sigma) over all singular values, as one probe sees it; f(0) = 0.
  template <class Function>
  [[nodiscard]] double total(std::size_t probe, Function&& f) const {
    double sum = 0;
    for (std::size_t i = 0; i < nodes[probe].size(); ++i) sum += weights[probe][i] * f(nodes[probe][i]);
    sum *= static_cast<double>(dimension);
    for (const double value : single) sum += f(value);
    return sum;
  }

  [[nodiscard]] bool ended(std::size_t probe) const { return probe < whole.size() && whole[probe] != 0; }

  /// Number of nodes at or below t.
  [[nodiscard]] std::size_t place(std::size_t probe, double t) const {
    const auto& at = nodes[probe];
    return static_cast<std::size_t>(std::upper_bound(at.begin(), at.end(), t) - at.begin());
  }

  [[nodiscard]] double below_of(std::size_t probe, double t) const {
    const auto &at = nodes[probe], &weight = weights[probe];
    const std::size_t i = place(probe, t);
    if (i == at.size()) return 1;
    double sum = 0;
    for (std::size_t j = 0; j + 1 < i; ++j) sum += weight[j];
    if (ended(probe)) return i == 0 ? 0 : sum + weight[i - 1];
    if (i == 0) return at[0] > 0 ? weight[0] / 2 * std::max(0.0, t / at[0]) : 0;
    const double before = sum + weight[i - 1] / 2, after = sum + weight[i - 1] + weight[i] / 2;
    const double low = std::log(std::max(at[i - 1], 1e-300)), high = std::log(std::max(at[i], 1e-300));
    const double share = high > low ? (std::log(std::max(t, 1e-300)) - low) / (high - low) : 0.5;
    return before + (after - before) * share;
  }

  [[nodiscard]] double uncertainty(std::size_t probe, double t) const {
    if (ended(probe)) return 0;
    const auto& weight = weights[probe];
    const std::size_t i = place(probe, t);
    if (i == weight.size()) return weight.empty() ? 0 : weight.back() / 2;
    return (i == 0 ? weight[0] : weight[i - 1] + weight[i]) / 2;
  }
};

}  // namespace optscope
