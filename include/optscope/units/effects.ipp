// SPDX-License-Identifier: MIT
#pragma once
// Bodies of effects.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optscope/core/permutation.hpp>
#include <optscope/units/effects.hpp>

namespace optscope {

OPTSCOPE_INLINE std::vector<double> effect_sizes(const unit_sums& sums, const text_groups& texts, std::size_t category,
                                                 unit_statistic statistic) {
  const std::size_t categories = texts.categories(), size = sums.units().size();
  std::vector<double> own(size), others(size), within(size), largest(size);
  double freedom = 0;
  for (std::size_t c = 0; c < categories; ++c) {
    const auto n = static_cast<double>(texts.texts(c));
    const auto sum = sums.sum(c, statistic), square = sums.sum_of_squares(c, statistic);
    freedom += n - 1;
    for (std::size_t u = 0; u < size; ++u) {
      const double mean = sum[u] / n;
      within[u] += std::max(0.0, square[u] - n * mean * mean);
      largest[u] += square[u];
      (c == category ? own : others)[u] += mean / (c == category ? 1 : static_cast<double>(categories - 1));
    }
  }
  std::vector<double> result(size, std::numeric_limits<double>::quiet_NaN());
  if (freedom < 1) return result;
  const double correction = freedom > 1 ? 1 - 3 / (4 * freedom - 1) : 1;
  for (std::size_t u = 0; u < size; ++u) {
    if (within[u] <= 1e-12 * largest[u]) continue;  // rounding
    result[u] = correction * (own[u] - others[u]) / std::sqrt(within[u] / freedom);
  }
  return result;
}

OPTSCOPE_INLINE labellings relabel(const std::vector<std::size_t>& group_category, std::size_t category,
                                   std::size_t most, std::uint64_t seed) {
  std::vector<std::size_t> in_category;  // [group]: 1 or 0
  for (const std::size_t each : group_category) in_category.push_back(each == category ? 1 : 0);
  std::vector<float> rows;
  const labelling_count found = for_each_labelling(in_category, most, seed, [&](std::span<const std::size_t> labels) {
    for (const std::size_t label : labels) rows.push_back(static_cast<float>(label));
  });
  labellings result;
  result.exact = found.exact;
  result.masks = tensor<float, 2>{{found.count, group_category.size()}};
  std::ranges::copy(rows, result.masks.data());
  return result;
}

namespace detail {

OPTSCOPE_INLINE void standardised_groups(const unit_sums& sums, const text_groups& texts, unit_statistic statistic,
                                         std::size_t first, tensor_view<float, 2> values) {
  const std::size_t groups = texts.count();
  for (std::size_t i = 0; i < values.rows(); ++i) {
    const auto row = values.row(i);
    double mean = 0, square = 0, largest = 0;
    for (std::size_t g = 0; g < groups; ++g) {
      row[g] = sums.group_sum(g, statistic)[first + i] / static_cast<float>(texts.members()[g]);
      mean += static_cast<double>(row[g]) / static_cast<double>(groups);
      largest = std::max(largest, static_cast<double>(std::abs(row[g])));
    }
    for (const float value : row) square += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean);
    const double deviation = std::sqrt(square / static_cast<double>(groups));
    const bool varies = deviation > 1e-6 * largest;
    for (float& value : row) {
      value = varies ? static_cast<float>((static_cast<double>(value) - mean) / deviation) : 0;
    }
  }
}

OPTSCOPE_INLINE double share_at_least_first(std::span<const float> values) {
  const float real = std::abs(values[0]) - 1e-4f;  // rounding; the values are sums of standardised ones
  const auto reached = std::count_if(values.begin(), values.end(), [&](float each) { return std::abs(each) >= real; });
  return static_cast<double>(reached) / static_cast<double>(values.size());
}

OPTSCOPE_INLINE void adjust_by_kind(const unit_table& units, unit_effects& effects) {
  const std::size_t categories = effects.p.rows();
  for (const unit_kind kind : all_unit_kinds) {
    const std::vector<std::size_t> numbers = units.all(kind);
    std::vector<double> p;
    for (std::size_t c = 0; c < categories; ++c) {
      for (const std::size_t u : numbers) p.push_back(effects.p(c, u));
    }
    const std::vector<double> q = false_discovery_rates(p);
    for (std::size_t c = 0; c < categories; ++c) {
      for (std::size_t i = 0; i < numbers.size(); ++i) effects.q(c, numbers[i]) = q[c * numbers.size() + i];
    }
  }
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<double> false_discovery_rates(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> q(p.size());
  double smallest = 1;
  for (std::size_t rank = p.size(); rank > 0; --rank) {
    const std::size_t i = order[rank - 1];
    smallest = std::min(smallest, p[i] * static_cast<double>(p.size()) / static_cast<double>(rank));
    q[i] = smallest;
  }
  return q;
}

}  // namespace optscope
