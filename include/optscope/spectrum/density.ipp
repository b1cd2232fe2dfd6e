// SPDX-License-Identifier: MIT
#pragma once
// Bodies of density.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/spectrum/density.hpp>

namespace optscope {
namespace detail {

/// Sums over the probes of a density.
struct density_sums {
  const spectral_density& of;

  template <class Function>
  [[nodiscard]] double mean(Function&& of_probe) const {
    double sum = 0;
    for (std::size_t probe = 0; probe < of.nodes.size(); ++probe) sum += of_probe(probe);
    return of.nodes.empty() ? 0 : sum / static_cast<double>(of.nodes.size());
  }

  /// Standard error of the mean over the probes of the sum of f over n values. The squared components of a random unit
  /// vector are Dirichlet(1/2, …), so that one probe has the variance 2 n^2 / (n + 2) (mean f^2 - (mean f)^2). A few
  /// probes that happen to agree do not make it smaller.
  template <class Function>
  [[nodiscard]] double error_of(Function&& f) const {
    const auto n = static_cast<double>(of.dimension);
    const auto moment = [&](auto&& g) {
      return mean([&](std::size_t probe) {
        double sum = 0;
        for (std::size_t i = 0; i < of.nodes[probe].size(); ++i) sum += of.weights[probe][i] * g(f(of.nodes[probe][i]));
        return sum;
      });
    };
    const double first = moment([](double x) { return x; }), second = moment([](double x) { return x * x; });
    if (of.nodes.empty()) return 0;
    return n * std::sqrt(2 / (n + 2) * std::max(0.0, second - first * first) / static_cast<double>(of.nodes.size()));
  }

  /// sum of f(sigma) over all singular values, as one probe's rule sees it; f(0) = 0.
  template <class Function>
  [[nodiscard]] double total(const std::vector<double>& at, const std::vector<double>& weight, Function&& f) const {
    double sum = 0;
    for (std::size_t i = 0; i < at.size(); ++i) sum += weight[i] * f(at[i]);
    sum *= static_cast<double>(of.dimension);
    for (const double value : of.single) sum += f(value);
    return sum;
  }

  [[nodiscard]] bool ended(std::size_t probe) const { return probe < of.whole.size() && of.whole[probe] != 0; }

  /// Number of nodes at or below t.
  [[nodiscard]] std::size_t place(std::size_t probe, double t) const {
    const auto& at = of.nodes[probe];
    return static_cast<std::size_t>(std::upper_bound(at.begin(), at.end(), t) - at.begin());
  }

  [[nodiscard]] double below_of(std::size_t probe, double t) const {
    const auto &at = of.nodes[probe], &weight = of.weights[probe];
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
    const auto& weight = of.weights[probe];
    const std::size_t i = place(probe, t);
    if (i == weight.size()) return weight.empty() ? 0 : weight.back() / 2;
    return (i == 0 ? weight[0] : weight[i - 1] + weight[i]) / 2;
  }
};

}  // namespace detail

OPTSCOPE_INLINE double spectral_density::largest() const {
  double most = single.empty() ? 0 : single.front();
  for (const auto& probe : nodes) most = std::max(most, probe.empty() ? 0 : probe.back());
  return most;
}

OPTSCOPE_INLINE double spectral_density::resolution_limit() const {
  double most = 0;
  for (const auto& probe : nodes) most = std::max(most, probe.empty() ? 0 : probe.back());
  return steps == 0 ? most : 0.35 / static_cast<double>(steps) * most;
}

OPTSCOPE_INLINE spectral_count spectral_density::above(double threshold) const {
  const detail::density_sums sums{*this};
  spectral_count result{threshold, 0, 0, 0};
  const auto n = static_cast<double>(dimension);
  double doubt = 0;
  const double below = sums.mean([&](std::size_t probe) {
    doubt += sums.uncertainty(probe, threshold);
    return sums.below_of(probe, threshold);
  });
  for (const double value : single) result.count += value > threshold;
  result.count += n * (1 - below);
  result.sampling = sums.error_of([&](double s) { return s > threshold ? 1.0 : 0.0; });
  result.resolution = nodes.empty() ? 0 : n * doubt / static_cast<double>(nodes.size());
  return result;
}

OPTSCOPE_INLINE sampled_value spectral_density::effective_rank() const {
  const detail::density_sums sums{*this};
  const auto entropy_part = [](double s) { return s > 0 ? s * std::log(s) : 0; };
  double sum = 0, log_sum = 0;  // of one rule's probes
  const auto by = [&](const auto& at, const auto& weight) {
    sum =
        sums.mean([&](std::size_t probe) { return sums.total(at[probe], weight[probe], [](double s) { return s; }); });
    log_sum = sums.mean([&](std::size_t probe) { return sums.total(at[probe], weight[probe], entropy_part); });
    return sum > 0 ? std::exp(std::log(sum) - log_sum / sum) : 0;
  };
  const double other = radau_nodes.empty() ? 0 : by(radau_nodes, radau_weights), value = by(nodes, weights);
  if (value == 0) return {};
  const double sampling =
      value * sums.error_of([&](double s) { return s / sum * (1 + log_sum / sum) - entropy_part(s) / sum; });
  return {value, sampling, radau_nodes.empty() ? 0 : std::abs(value - other)};
}

OPTSCOPE_INLINE sampled_value spectral_density::stable_rank() const {
  const detail::density_sums sums{*this};
  const double top = largest();
  if (top == 0) return {};
  const auto square = [&](double s) { return (s / top) * (s / top); };
  return {sums.mean([&](std::size_t probe) { return sums.total(nodes[probe], weights[probe], square); }),
          sums.error_of(square), 0};
}

OPTSCOPE_INLINE sampled_value spectral_density::participation_ratio() const {
  const detail::density_sums sums{*this};
  const double top = largest();
  if (top == 0) return {};
  const auto square = [&](double s) { return (s / top) * (s / top); };
  const auto to_the_fourth = [&](double s) { return square(s) * square(s); };
  double ratio = 0;  // of the sums
  const double value = sums.mean([&](std::size_t probe) {
    const double second = sums.total(nodes[probe], weights[probe], square);
    const double fourth = sums.total(nodes[probe], weights[probe], to_the_fourth);
    ratio += second / fourth / static_cast<double>(nodes.size());
    return second * second / fourth;
  });
  return {value, sums.error_of([&](double s) { return 2 * ratio * square(s) - ratio * ratio * to_the_fourth(s); }), 0};
}

OPTSCOPE_INLINE sampled_value spectral_density::energy_rank(double share) const {
  const detail::density_sums sums{*this};
  double last = 0;  // the value with which they do
  const double value = sums.mean([&](std::size_t probe) {
    const double wanted = share * sums.total(nodes[probe], weights[probe], [](double s) { return s * s; });
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
  const double sampling = sums.error_of([&](double s) {
    const double energy = (s / last) * (s / last);
    return (s > last ? 1 - energy : 0) + share * energy;
  });
  return {value, sampling, above(last).resolution};
}

}  // namespace optscope
