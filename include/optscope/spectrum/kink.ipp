// SPDX-License-Identifier: MIT
#pragma once
// Bodies of kink.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/spectrum/kink.hpp>
#include <vector>

namespace optscope {
namespace detail {

/// The values that count: above the floor, without 0.2 % at either end.
struct kink_range {
  std::size_t first = 0, last = 0;
};
inline kink_range range_of(std::span<const double> values, double floor) {
  const auto above = static_cast<std::size_t>(
      std::partition_point(values.begin(), values.end(), [=](double v) { return v > floor; }) - values.begin());
  const auto margin = static_cast<std::size_t>(std::ceil(0.002 * static_cast<double>(above)));
  return {std::min(margin, above), above - std::min(margin, above)};
}

/// Probability that one of `many` gaps is as wide as that at `widest` if they are exponentially distributed. The mean
/// is estimated from the gaps to one side, the side on which they are wider: after Σ over n gaps, one more exceeds g
/// with probability (1 + g/Σ)^(-n).
inline double chance_of_gap(const std::vector<double>& gaps, std::size_t widest, double many) {
  constexpr std::size_t reach = 10, few = 5;
  double chance = 0;
  for (const bool before : {true, false}) {
    const std::size_t count = std::min(reach, before ? widest : gaps.size() - 1 - widest);
    if (count < few) return 1;
    double sum = 0;
    for (std::size_t i = 1; i <= count; ++i) sum += gaps[before ? widest - i : widest + i];
    const double beyond = sum == 0 ? 0 : std::pow(1 + gaps[widest] / sum, -static_cast<double>(count));
    chance = std::max(chance, -std::expm1(many * std::log1p(-beyond)));
  }
  return chance;
}

}  // namespace detail

OPTSCOPE_INLINE std::optional<spectrum_gap> widest_gap(std::span<const double> values, double floor) {
  constexpr double least = 0.3;
  const auto [first, last] = detail::range_of(values, floor);
  if (last < first + 2) return std::nullopt;
  std::vector<double> gaps;  // of all values above the floor, the ends included
  for (std::size_t i = 1; i < last + first; ++i) gaps.push_back(std::log10(values[i - 1] / values[i]));
  const auto begin = gaps.begin() + static_cast<std::ptrdiff_t>(first);
  const auto end = gaps.begin() + static_cast<std::ptrdiff_t>(last - 1);
  const auto place = std::max_element(begin, end);
  const auto widest = static_cast<std::size_t>(place - gaps.begin());
  spectrum_gap gap{widest + 1, *place, 0, 1};
  if (gap.decades < least) return std::nullopt;
  for (auto other = begin; other != end; ++other) {
    if (other != place) gap.runner_up = std::max(gap.runner_up, *other);
  }
  gap.chance = detail::chance_of_gap(gaps, widest, static_cast<double>(end - begin));
  return gap;
}

OPTSCOPE_INLINE std::optional<spectrum_bend> strongest_bend(std::span<const double> values, double floor) {
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

}  // namespace optscope
