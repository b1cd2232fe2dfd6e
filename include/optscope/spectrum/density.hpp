// SPDX-License-Identifier: MIT
#pragma once
// The density of a spectrum from quadrature nodes and weights: counts above thresholds with their errors, rank notions.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace optscope {

/// A number that is sampled: its mean over the probes, and how sure that is.
struct sampled_value {
  double value = 0;
  double sampling = 0;    ///< standard error of the mean over the probes, as random unit vectors have it
  double resolution = 0;  ///< what the quadrature of so many steps leaves open
  [[nodiscard]] double error() const { return resolution + 2 * sampling; }
};

/// How many singular values lie above a threshold, and how sure that is.
struct spectral_count {
  double threshold = 0;
  double count = 0;
  double sampling = 0;    ///< standard error of the mean over the probes
  double resolution = 0;  ///< the Gauss quadrature of so many steps fixes the count of a probe within ± this
  [[nodiscard]] double error() const { return resolution + 2 * sampling; }
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
  /// (probe, node): the Gauss-Radau rule with a node at zero. For sums of sigma it is too small where that of `nodes`
  /// is too large (Golub & Meurant 1994): between them lies what so many steps do not tell. May be empty.
  std::vector<std::vector<double>> radau_nodes, radau_weights;
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
    const double below = mean([&](std::size_t probe) {
      doubt += uncertainty(probe, threshold);
      return below_of(probe, threshold);
    });
    for (const double value : single) result.count += value > threshold;
    result.count += n * (1 - below);
    result.sampling = error_of([&](double s) { return s > threshold ? 1.0 : 0.0; });
    result.resolution = nodes.empty() ? 0 : n * doubt / static_cast<double>(nodes.size());
    return result;
  }

  /// exp(entropy of sigma / sum sigma) (Roy & Vetterli 2007).
  [[nodiscard]] sampled_value effective_rank() const {
    const auto entropy_part = [](double s) { return s > 0 ? s * std::log(s) : 0; };
    double sum = 0, log_sum = 0;  // of one rule's probes
    const auto by = [&](const auto& at, const auto& weight) {
      sum = mean([&](std::size_t probe) { return total(at[probe], weight[probe], [](double s) { return s; }); });
      log_sum = mean([&](std::size_t probe) { return total(at[probe], weight[probe], entropy_part); });
      return sum > 0 ? std::exp(std::log(sum) - log_sum / sum) : 0;
    };
    const double other = radau_nodes.empty() ? 0 : by(radau_nodes, radau_weights), value = by(nodes, weights);
    if (value == 0) return {};
    const double sampling =
        value * error_of([&](double s) { return s / sum * (1 + log_sum / sum) - entropy_part(s) / sum; });
    return {value, sampling, radau_nodes.empty() ? 0 : std::abs(value - other)};
  }
  /// sum sigma^2 / sigma_1^2.
  [[nodiscard]] sampled_value stable_rank() const {
    const double top = largest();
    if (top == 0) return {};
    const auto square = [&](double s) { return (s / top) * (s / top); };
    return {mean([&](std::size_t probe) { return total(nodes[probe], weights[probe], square); }), error_of(square), 0};
  }
  /// (sum sigma^2)^2 / sum sigma^4.
  [[nodiscard]] sampled_value participation_ratio() const {
    const double top = largest();
    if (top == 0) return {};
    const auto square = [&](double s) { return (s / top) * (s / top); };
    const auto to_the_fourth = [&](double s) { return square(s) * square(s); };
    double ratio = 0;  // of the sums
    const double value = mean([&](std::size_t probe) {
      const double second = total(nodes[probe], weights[probe], square);
      const double fourth = total(nodes[probe], weights[probe], to_the_fourth);
      ratio += second / fourth / static_cast<double>(nodes.size());
      return second * second / fourth;
    });
    return {value, error_of([&](double s) { return 2 * ratio * square(s) - ratio * ratio * to_the_fourth(s); }), 0};
  }
  /// How many leading values hold this share of sum sigma^2.
  [[nodiscard]] sampled_value energy_rank(double share) const {
    double last = 0;  // the value with which they do
    const double value = mean([&](std::size_t probe) {
      const double wanted = share * total(nodes[probe], weights[probe], [](double s) { return s * s; });
      double energy = 0, count = 0;
      const auto take = [&](double each, double many) {
        const double here = many * each * each;
        if (energy >= wanted || here == 0) return;
        const double part = std::min(1.0, (wanted - energy) / here);
        energy += here;
        count += part * many;
        if (energy >= wanted) last += each / static_cast<double>(nodes.size());
      };
      for (const double each : single) take(each, 1);
      for (std::size_t i = nodes[probe].size(); i-- > 0;) {
        take(nodes[probe][i], weights[probe][i] * static_cast<double>(dimension));
      }
      return count;
    });
    if (last == 0) return {value, 0, 0};
    const double sampling = error_of([&](double s) {
      const double energy = (s / last) * (s / last);
      return (s > last ? 1 - energy : 0) + share * energy;
    });
    return {value, sampling, above(last).resolution};
  }

 private:
  template <class Function>
  [[nodiscard]] double mean(Function&& of_probe) const {
    double sum = 0;
    for (std::size_t probe = 0; probe < nodes.size(); ++probe) sum += of_probe(probe);
    return nodes.empty() ? 0 : sum / static_cast<double>(nodes.size());
  }

  /// Standard error of the mean over the probes of the sum of f over n values. The squared components of a random unit
  /// vector are Dirichlet(1/2, …), so that one probe has the variance 2 n^2 / (n + 2) (mean f^2 - (mean f)^2). A few
  /// probes that happen to agree do not make it smaller.
  template <class Function>
  [[nodiscard]] double error_of(Function&& f) const {
    const auto n = static_cast<double>(dimension);
    const auto moment = [&](auto&& g) {
      return mean([&](std::size_t probe) {
        double sum = 0;
        for (std::size_t i = 0; i < nodes[probe].size(); ++i) sum += weights[probe][i] * g(f(nodes[probe][i]));
        return sum;
      });
    };
    const double first = moment([](double x) { return x; }), second = moment([](double x) { return x * x; });
    if (nodes.empty()) return 0;
    return n * std::sqrt(2 / (n + 2) * std::max(0.0, second - first * first) / static_cast<double>(nodes.size()));
  }

  /// sum of f(sigma) over all singular values, as one probe's rule sees it; f(0) = 0.
  template <class Function>
  [[nodiscard]] double total(const std::vector<double>& at, const std::vector<double>& weight, Function&& f) const {
    double sum = 0;
    for (std::size_t i = 0; i < at.size(); ++i) sum += weight[i] * f(at[i]);
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

template <class File>
void fields_of(File& file, spectral_density& density) {
  file(density.dimension, density.zeros, density.steps, density.single, density.nodes, density.weights);
  file(density.radau_nodes, density.radau_weights, density.whole);
}

}  // namespace optscope
