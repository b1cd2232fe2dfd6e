// SPDX-License-Identifier: MIT
#pragma once
// Bodies of patch_agreement.hpp.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optscope/core/permutation.hpp>
#include <optscope/residual/patch_agreement.hpp>
#include <random>
#include <span>
#include <vector>

namespace optscope {
namespace detail {

/// Units of two maps: `size` cells each, one unit after the other.
struct agreement_cells {
  std::size_t size;
  std::vector<double> exact, estimate;

  [[nodiscard]] std::size_t units() const { return exact.size() / size; }

  /// Pearson's correlation of unit `of_exact[i]` of one map with unit `of_estimate[i]` of the other; none if either is
  /// constant.
  [[nodiscard]] std::optional<double> correlation(std::span<const std::size_t> of_exact,
                                                  std::span<const std::size_t> of_estimate) const {
    const double count = static_cast<double>(of_exact.size() * size);
    double mean_x = 0, mean_y = 0, xx = 0, yy = 0, xy = 0;
    const auto each = [&](auto&& action) {
      for (std::size_t i = 0; i < of_exact.size(); ++i) {
        for (std::size_t j = 0; j < size; ++j)
          action(exact[of_exact[i] * size + j], estimate[of_estimate[i] * size + j]);
      }
    };
    each([&](double x, double y) {
      mean_x += x / count;
      mean_y += y / count;
    });
    double largest_x = 0, largest_y = 0;
    each([&](double x, double y) {
      xx += (x - mean_x) * (x - mean_x);
      yy += (y - mean_y) * (y - mean_y);
      xy += (x - mean_x) * (y - mean_y);
      largest_x = std::max(largest_x, std::abs(x));
      largest_y = std::max(largest_y, std::abs(y));
    });
    const auto constant = [&](double square, double largest) {  // but for rounding
      return !(std::sqrt(square / count) > 1e-12 * largest);
    };
    if (constant(xx, largest_x) || constant(yy, largest_y)) return std::nullopt;
    return std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0);
  }
};

}  // namespace detail

OPTSCOPE_INLINE patch_agreement agreement_of(const tensor<double, 2>& exact, const tensor<double, 2>& estimate,
                                             std::size_t first, agreement_unit unit, std::uint64_t seed) {
  constexpr std::size_t draws = 1000, fewest_units = 6;
  patch_agreement result;
  detail::agreement_cells cells{.size = unit == agreement_unit::column ? exact.rows() : 1, .exact = {}, .estimate = {}};
  for (std::size_t place = first; place < exact.extent(1); ++place) {
    for (std::size_t layer = 0; layer < exact.rows(); ++layer) {
      cells.exact.push_back(exact(layer, place));
      cells.estimate.push_back(estimate(layer, place));
      result.error = std::max(result.error, std::abs(exact(layer, place) - estimate(layer, place)));
    }
  }
  result.places = cells.exact.size();
  if (result.places == 0) return result;
  result.units = cells.units();
  std::vector<std::size_t> order(result.units);
  std::iota(order.begin(), order.end(), std::size_t{0});
  result.correlation = cells.correlation(order, order);
  if (!result.correlation) return result;

  std::vector<double> rearranged;
  const double found = *result.correlation - 1e-12;
  for_each_labelling(order, draws, seed, [&](std::span<const std::size_t> labels) {
    rearranged.push_back(cells.correlation(order, labels).value_or(0));
  });
  const auto as_large = std::ranges::count_if(rearranged, [&](double other) { return other >= found; });
  result.p = static_cast<double>(as_large) / static_cast<double>(rearranged.size());
  std::ranges::sort(rearranged);
  result.chance = rearranged[(rearranged.size() * 95 + 99) / 100 - 1];

  if (result.units < fewest_units) return result;
  std::mt19937_64 bits{seed};
  std::vector<double> resampled;
  for (std::size_t draw = 0; draw < draws; ++draw) {
    std::vector<std::size_t> drawn(result.units);
    for (std::size_t& each : drawn) each = bits() % result.units;
    if (const auto r = cells.correlation(drawn, drawn)) resampled.push_back(*r);
  }
  if (resampled.size() < draws / 2) return result;
  std::ranges::sort(resampled);
  const auto at = [&](double part) {
    return resampled[static_cast<std::size_t>(part * static_cast<double>(resampled.size() - 1) + 0.5)];
  };
  result.interval = std::array{at(0.025), at(0.975)};
  return result;
}

}  // namespace optscope
