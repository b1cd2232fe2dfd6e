// SPDX-License-Identifier: MIT
#pragma once
// Bodies of rank.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/errors.hpp>
#include <optscope/spectrum/rank.hpp>
#include <span>
#include <string>

namespace optscope {

OPTSCOPE_INLINE rank_notions ranks_of(const spectrum& from, std::size_t must_be_zero, std::size_t bound) {
  const std::span<const double> s{from.values};
  if (!from.all_values() || s.empty() || must_be_zero > s.size() || !std::is_sorted(s.rbegin(), s.rend())) {
    throw bad_input{"", "ranks_of", "a whole spectrum in descending order, no more zeros than values",
                    std::to_string(s.size()) + " of " + std::to_string(from.size) + " values by " + from.method};
  }
  rank_notions result;
  result.size = s.size();
  result.bound = bound != 0 ? bound : s.size() - must_be_zero;
  result.largest = s.front();
  const double measured = must_be_zero == 0 ? 0 : 10 * s[s.size() - must_be_zero];
  result.floor = std::max(measured, from.floor * result.largest);
  result.calibrated = measured > 0 && measured == result.floor;
  const auto above = [s](double threshold) {
    return static_cast<std::size_t>(std::partition_point(s.begin(), s.end(), [=](double v) { return v > threshold; }) -
                                    s.begin());
  };
  for (std::size_t i = 0; i < 3; ++i)
    result.counts[i] = above(result.floor * std::pow(10.0, static_cast<double>(i) - 1));
  result.well_determined =
      static_cast<double>(result.counts[0] - result.counts[2]) <= 1e-3 * static_cast<double>(result.counts[1]);
  if (result.largest == 0) return result;
  for (std::size_t i = 0; i < 8; ++i)
    result.decades[i] = above(result.largest * std::pow(10.0, -1 - static_cast<double>(i)));

  double sum = 0, logs = 0, second = 0, fourth = 0;
  for (const double value : s) {
    const double x = value / result.largest;
    sum += x;
    logs += x > 0 ? x * std::log(x) : 0;
    second += x * x;
    fourth += x * x * x * x;
  }
  result.stable_rank = second;
  result.effective_rank = std::exp(std::log(sum) - logs / sum);
  result.participation_ratio = second * second / fourth;
  const std::array<double, 3> shares{0.9, 0.99, 0.999};
  double energy = 0;
  std::size_t next = 0;
  for (std::size_t i = 0; i < s.size() && next < 3; ++i) {
    energy += (s[i] / result.largest) * (s[i] / result.largest);
    for (; next < 3 && energy >= shares[next] * second; ++next) result.energy_ranks[next] = i + 1;
  }
  return result;
}

OPTSCOPE_INLINE rank_notions sampled_ranks_of(const spectrum& from, std::size_t bound) {
  if (!from.density) {
    throw bad_input{"", "sampled_ranks_of", "a sampled spectrum", "one without a density by " + from.method};
  }
  const spectral_density& density = *from.density;
  const auto rounded = [](double value) { return static_cast<std::size_t>(std::lround(value)); };
  rank_notions ranks;
  ranks.size = from.size;
  ranks.bound = bound;
  ranks.largest = density.largest();
  ranks.floor = density.resolution_limit();
  ranks.effective_rank = density.effective_rank().value;
  ranks.stable_rank = density.stable_rank().value;
  ranks.participation_ratio = density.participation_ratio().value;
  for (std::size_t i = 0; i < 3; ++i) {
    ranks.energy_ranks[i] = rounded(density.energy_rank(1 - std::pow(10.0, -1 - static_cast<double>(i))).value);
    ranks.counts[i] = rounded(density.above(ranks.floor * std::pow(10.0, static_cast<double>(i) - 1)).count);
  }
  for (std::size_t i = 0; i < ranks.decades.size(); ++i) {
    ranks.decades[i] = rounded(density.above(ranks.largest * std::pow(10.0, -1 - static_cast<double>(i))).count);
  }
  return ranks;
}

OPTSCOPE_INLINE std::size_t resolved_decades(const rank_notions& ranks) {
  std::size_t count = 0;
  while (count < ranks.decades.size() &&
         ranks.largest * std::pow(10.0, -1 - static_cast<double>(count)) >= ranks.floor) {
    ++count;
  }
  return count;
}

}  // namespace optscope
