// SPDX-License-Identifier: MIT
#pragma once
// Kinks in a spectrum, and the tight pass over the depth of a model.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optional>
#include <optscope/spectrum/rank.hpp>
#include <span>
#include <vector>

namespace optscope {

/// A gap: so many values lie above it.
struct spectrum_gap {
  std::size_t count = 0;
  double decades = 0;    ///< log10(values[count - 1] / values[count])
  double runner_up = 0;  ///< the second largest gap in the same range, in decades
  /// Probability that the largest of so many gaps is at least as wide if gaps were exponentially distributed with the
  /// mean of the 5 % of gaps to either side. Neighbouring singular values repel, so this is an upper bound for smooth
  /// spectra.
  double chance = 1;
};

/// A bend: two straight lines through log10(value) over the index, meeting at `count`. Such lines fit any curved
/// spectrum better than one does; it is a kink only where `explained` is near 1 and `misfit` is small against the
/// decades covered.
struct spectrum_bend {
  std::size_t count = 0;
  double slope_before = 0, slope_after = 0;  ///< decades per value
  double explained = 0;  ///< share of the squared deviation from one line that the second line removes
  double misfit = 0;     ///< root mean square distance from the two lines, decades
};

namespace detail {

/// The values that count: above the floor, without 0.2 % at either end.
struct kink_range {
  std::size_t first = 0, last = 0;
};
[[nodiscard]] inline kink_range range_of(std::span<const double> values, double floor) {
  const auto above = static_cast<std::size_t>(
      std::partition_point(values.begin(), values.end(), [=](double v) { return v > floor; }) - values.begin());
  const auto margin = static_cast<std::size_t>(std::ceil(0.002 * static_cast<double>(above)));
  return {std::min(margin, above), above - std::min(margin, above)};
}

}  // namespace detail

/// The widest gap between neighbours in log10, inside (0.2 %, 99.8 %) of the values above `floor` (absolute), if it has
/// at least 0.3 decade. Believe it if it is still there with another analyser, and moves with the number of tokens as
/// its explanation says.
[[nodiscard]] inline std::optional<spectrum_gap> widest_gap(std::span<const double> values, double floor) {
  constexpr double least = 0.3;
  const auto [first, last] = detail::range_of(values, floor);
  if (last < first + 2) return std::nullopt;
  std::vector<double> gaps;
  for (std::size_t i = first + 1; i < last; ++i) gaps.push_back(std::log10(values[i - 1] / values[i]));
  const auto widest = static_cast<std::size_t>(std::max_element(gaps.begin(), gaps.end()) - gaps.begin());
  spectrum_gap gap{first + 1 + widest, gaps[widest], 0, 1};
  if (gap.decades < least) return std::nullopt;
  const std::size_t reach = std::max<std::size_t>(5, gaps.size() / 20);
  double sum = 0, count = 0;
  for (std::size_t i = 0; i < gaps.size(); ++i) {
    if (i == widest) continue;
    gap.runner_up = std::max(gap.runner_up, gaps[i]);
    if (i + reach >= widest && i <= widest + reach) {
      sum += gaps[i];
      ++count;
    }
  }
  if (count == 0) return gap;
  const double beyond = sum == 0 ? 0 : std::exp(-gap.decades * count / sum);  // of one gap
  gap.chance = -std::expm1(static_cast<double>(gaps.size()) * std::log1p(-beyond));
  return gap;
}

/// The best fit of two connected lines to log10(value) over the index in the same range, at up to 512 evenly spaced
/// values; nothing for fewer than 8 of them.
[[nodiscard]] inline std::optional<spectrum_bend> strongest_bend(std::span<const double> values, double floor) {
  const auto [first, last] = detail::range_of(values, floor);
  if (last < first + 8) return std::nullopt;
  const std::size_t points = std::min<std::size_t>(512, last - first);
  std::vector<double> x(points), y(points);
  for (std::size_t i = 0; i < points; ++i) {
    const std::size_t at = first + i * (last - 1 - first) / (points - 1);
    x[i] = static_cast<double>(at);
    y[i] = std::log10(values[at]);
  }
  // Least squares in 1, x and max(0, x - knot), the last two made orthogonal to what comes before them.
  const auto centre = [](std::vector<double>& v) {
    double mean = 0;
    for (const double value : v) mean += value / static_cast<double>(v.size());
    for (double& value : v) value -= mean;
  };
  const auto dot = [](const std::vector<double>& a, const std::vector<double>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
    return sum;
  };
  std::vector<double> line = x;
  centre(line);
  centre(y);
  const double slope = dot(line, y) / dot(line, line);
  for (std::size_t i = 0; i < points; ++i) y[i] -= slope * line[i];
  const double one_line = dot(y, y);
  spectrum_bend best{first, slope, slope, 0, std::sqrt(one_line / static_cast<double>(points))};
  double removed = 0;
  for (std::size_t knot = 2; knot + 2 < points; ++knot) {
    std::vector<double> hinge(points);
    for (std::size_t i = 0; i < points; ++i) hinge[i] = std::max(0.0, x[i] - x[knot]);
    centre(hinge);
    const double along = dot(line, hinge) / dot(line, line);
    for (std::size_t i = 0; i < points; ++i) hinge[i] -= along * line[i];
    const double size = dot(hinge, hinge), turn = dot(hinge, y) / size;
    if (turn * turn * size <= removed) continue;
    removed = turn * turn * size;
    best.count = static_cast<std::size_t>(x[knot]);
    best.slope_before = slope - turn * along;
    best.slope_after = best.slope_before + turn;
    best.misfit = std::sqrt(std::max(0.0, one_line - removed) / static_cast<double>(points));
  }
  best.explained = one_line > 0 ? removed / one_line : 0;
  return best;
}

/// Where along the depth the effective rank, divided by the bound, is smallest.
struct tight_pass {
  std::size_t layer = 0;  ///< place in the list
  double share = 0;       ///< effective rank / bound there
  double margin = 0;      ///< how much larger the share is at the next narrowest layer, relative
  bool inside = false;    ///< not the first or the last: only then do the layers narrow and widen again
};

/// The strict minimum, or nothing if two layers share it or there are fewer than 2.
[[nodiscard]] inline std::optional<tight_pass> find_tight_pass(std::span<const rank_notions> layers) {
  if (layers.size() < 2) return std::nullopt;
  std::vector<double> shares;
  for (const rank_notions& ranks : layers) {
    shares.push_back(ranks.bound == 0 ? 0 : ranks.effective_rank / static_cast<double>(ranks.bound));
  }
  const auto at = static_cast<std::size_t>(std::min_element(shares.begin(), shares.end()) - shares.begin());
  double next = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (i != at) next = std::min(next, shares[i]);
  }
  if (next == shares[at]) return std::nullopt;
  return tight_pass{at, shares[at], next / shares[at] - 1, at > 0 && at + 1 < shares.size()};
}

}  // namespace optscope
