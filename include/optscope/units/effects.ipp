// SPDX-License-Identifier: MIT
#pragma once
// Bodies of effects.hpp.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optscope/core/permutation.hpp>
#include <optscope/core/students_quantile.hpp>
#include <optscope/units/effects.hpp>

namespace optscope {
namespace detail {

/// A statistic over some texts of a category: how many, its mean and its squared deviations from it, of every unit.
struct category_spread {
  double texts = 0;
  std::vector<double> mean, within;  // [unit]

  category_spread(double count, std::span<const double> sum, std::span<const double> square) : texts{count} {
    for (std::size_t u = 0; u < sum.size(); ++u) {
      mean.push_back(count > 0 ? sum[u] / count : std::numeric_limits<double>::quiet_NaN());
      const double deviations = square[u] - count * mean[u] * mean[u];
      within.push_back(deviations <= 1e-12 * square[u] ? 0 : deviations);  // rounding
    }
  }
};

inline std::vector<category_spread> spreads_of(const unit_sums& sums, const text_groups& texts,
                                               unit_statistic statistic) {
  std::vector<category_spread> result;
  for (std::size_t c = 0; c < texts.categories(); ++c) {
    result.emplace_back(static_cast<double>(texts.texts(c)), sums.sum(c, statistic), sums.sum_of_squares(c, statistic));
  }
  return result;
}

/// The weight of a category's mean in the contrast.
inline double weight_of(std::size_t category, std::size_t of, std::size_t categories) {
  return of == category ? 1 : -1 / static_cast<double>(categories - 1);
}

/// 1 - 3/(4 df - 1), which makes the effect size of small samples unbiased.
inline double small_sample_factor(double freedom) { return freedom > 1 ? 1 - 3 / (4 * freedom - 1) : 1; }

inline std::vector<double> effect_sizes_by(const std::vector<category_spread>& spreads, std::size_t category) {
  const std::size_t size = spreads[0].mean.size();
  std::vector<double> difference(size), within(size), result(size, std::numeric_limits<double>::quiet_NaN());
  double freedom = 0;
  for (std::size_t c = 0; c < spreads.size(); ++c) {
    freedom += spreads[c].texts - 1;
    const double weight = weight_of(category, c, spreads.size());
    for (std::size_t u = 0; u < size; ++u) {
      difference[u] += weight * spreads[c].mean[u];
      within[u] += spreads[c].within[u];
    }
  }
  if (freedom < 1) return result;
  for (std::size_t u = 0; u < size; ++u) {
    if (within[u] > 0) result[u] = small_sample_factor(freedom) * difference[u] / std::sqrt(within[u] / freedom);
  }
  return result;
}

/// Squared deviations from its mean of a group of texts, of which only the sum is known: what they are on average over
/// the groups of its category; 0 where a group is one text. [unit]
inline std::vector<double> within_groups(const unit_sums& sums, const text_groups& texts, unit_statistic statistic,
                                         std::size_t category, const category_spread& spread) {
  const auto each = static_cast<double>(texts.texts_per_group());
  std::vector<double> between(spread.mean.size());
  double groups = 0;
  if (each == 1) return between;
  for (std::size_t g = 0; g < texts.count(); ++g) {
    if (texts.category()[g] != category) continue;
    const auto sum = sums.group_sum(g, statistic);
    for (std::size_t u = 0; u < between.size(); ++u) {
      const double apart = static_cast<double>(sum[u]) / each - spread.mean[u];
      between[u] += each * apart * apart;
    }
    ++groups;
  }
  for (std::size_t u = 0; u < between.size(); ++u) {
    const double all = spread.within[u] * groups * each / spread.texts;  // of the texts that are in groups
    between[u] = std::max(0.0, all - between[u]) / groups;
  }
  return between;
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<double> effect_sizes(const unit_sums& sums, const text_groups& texts, std::size_t category,
                                                 unit_statistic statistic) {
  return detail::effect_sizes_by(detail::spreads_of(sums, texts, statistic), category);
}

OPTSCOPE_INLINE std::vector<double> effect_sizes_of_half(const unit_sums& sums, const text_groups& texts,
                                                         std::size_t category, unit_statistic statistic,
                                                         std::size_t half) {
  const std::size_t size = sums.units().size();
  const auto each = static_cast<double>(texts.texts_per_group());
  const std::vector<detail::category_spread> whole = detail::spreads_of(sums, texts, statistic);
  std::vector<detail::category_spread> spreads;
  std::size_t group = 0;
  for (std::size_t c = 0; c < whole.size(); ++c) {
    const std::vector<double> inside = detail::within_groups(sums, texts, statistic, c, whole[c]);
    std::vector<double> sum(size), square(size);
    double count = 0;
    for (std::size_t place = 0; group < texts.count() && texts.category()[group] == c; ++group, ++place) {
      if (place % 2 != half) continue;
      const auto values = sums.group_sum(group, statistic);
      for (std::size_t u = 0; u < size; ++u) {
        const auto value = static_cast<double>(values[u]);
        sum[u] += value;
        square[u] += value * value / each + inside[u];
      }
      count += each;
    }
    if (count == 0) return std::vector<double>(size, std::numeric_limits<double>::quiet_NaN());
    spreads.emplace_back(count, sum, square);
  }
  return detail::effect_sizes_by(spreads, category);
}

OPTSCOPE_INLINE effect_intervals jackknife_intervals(const unit_sums& sums, const text_groups& texts,
                                                     std::size_t category, unit_statistic statistic,
                                                     std::span<const double> g) {
  const std::size_t size = sums.units().size(), categories = texts.categories();
  const auto each = static_cast<double>(texts.texts_per_group());
  const std::vector<detail::category_spread> spreads = detail::spreads_of(sums, texts, statistic);
  std::vector<double> difference(size), within(size), variance(size), by_freedom(size);
  double freedom = 0;
  for (std::size_t c = 0; c < categories; ++c) {
    freedom += spreads[c].texts - 1;
    for (std::size_t u = 0; u < size; ++u) {
      difference[u] += detail::weight_of(category, c, categories) * spreads[c].mean[u];
      within[u] += spreads[c].within[u];
    }
  }
  std::size_t group = 0;
  for (std::size_t c = 0; c < categories; ++c) {
    const double n = spreads[c].texts, rest = n - each, weight = detail::weight_of(category, c, categories);
    const double left = freedom - each, factor = detail::small_sample_factor(left);
    const std::vector<double> inside = detail::within_groups(sums, texts, statistic, c, spreads[c]);
    std::vector<double> change(size), square(size);  // of g if one group is left out
    double groups = 0;
    for (; group < texts.count() && texts.category()[group] == c; ++group, ++groups) {
      if (rest <= 0 || left < 1) continue;
      const auto sum = sums.group_sum(group, statistic);
      for (std::size_t u = 0; u < size; ++u) {
        const double apart = static_cast<double>(sum[u]) / each - spreads[c].mean[u];
        const double less = each * apart * apart * n / rest + inside[u];
        const double without = factor * (difference[u] - weight * apart * each / rest) /
                               std::sqrt(std::max(within[u] - less, 1e-12 * within[u]) / left);
        change[u] += without - g[u];
        square[u] += (without - g[u]) * (without - g[u]);
      }
    }
    // A category's only text: its mean is as uncertain as the spread of the others' texts says.
    const double of_one = weight * weight / n, others = n / each - 1;
    for (std::size_t u = 0; u < size; ++u) {
      const double mean = change[u] / groups;
      const double here = rest <= 0 || left < 1 ? of_one : others * std::max(0.0, square[u] / groups - mean * mean);
      variance[u] += here;
      by_freedom[u] += here * here / std::max(1.0, rest <= 0 ? freedom : others);
    }
  }
  effect_intervals result{.low = std::vector<double>(size), .high = std::vector<double>(size)};
  for (std::size_t u = 0; u < size; ++u) {
    const double reach = variance[u] > 0
                             ? students_quantile(variance[u] * variance[u] / by_freedom[u]) * std::sqrt(variance[u])
                             : std::numeric_limits<double>::quiet_NaN();
    result.low[u] = g[u] - reach;
    result.high[u] = g[u] + reach;
  }
  return result;
}

OPTSCOPE_INLINE labellings relabel(const std::vector<std::size_t>& group_category, std::size_t category,
                                   std::size_t most, std::uint64_t seed) {
  std::vector<double> size;  // [category]: groups
  for (const std::size_t c : group_category) {
    size.resize(std::max(size.size(), c + 1));
    size[c] += 1;
  }
  std::vector<float> weights{1};  // [label]: 0 is the category, then one for each size of the others
  std::vector<std::size_t> labels;
  for (const std::size_t c : group_category) {
    if (c == category) {
      labels.push_back(0);
      continue;
    }
    const auto weight = static_cast<float>(-size[category] / size[c] / static_cast<double>(size.size() - 1));
    const auto place = std::find(weights.begin() + 1, weights.end(), weight);
    labels.push_back(static_cast<std::size_t>(place - weights.begin()));
    if (place == weights.end()) weights.push_back(weight);
  }
  std::vector<float> rows;
  const labelling_count found = for_each_labelling(labels, most, seed, [&](std::span<const std::size_t> each) {
    for (const std::size_t label : each) rows.push_back(weights[label]);
  });
  // Of two categories with equally many groups, to exchange all labels turns the sign only.
  const bool symmetric = weights.size() == 2 && weights[1] == -1;
  labellings result{.contrasts = tensor<float, 2>{{found.count, labels.size()}},
                    .exact = found.exact,
                    .smallest_p = std::min(1.0, (symmetric ? 2 : 1) / found.possible)};
  std::ranges::copy(rows, result.contrasts.data());
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
      row[g] = sums.group_sum(g, statistic)[first + i];
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

/// The share of squares that are above `real`, by a generalised Pareto distribution fitted to the largest of them.
/// `magnitudes` has their roots.
inline double share_in_tail(std::span<float> magnitudes, double real) {
  constexpr std::size_t most = 250;
  const std::size_t above = std::min(most, magnitudes.size() / 4);
  const auto sorted_end = magnitudes.begin() + static_cast<std::ptrdiff_t>(above) + 1;
  std::ranges::partial_sort(magnitudes, sorted_end, std::greater{});
  const auto square = [&](std::size_t i) {
    return static_cast<double>(magnitudes[i]) * static_cast<double>(magnitudes[i]);
  };
  const double threshold = (square(above - 1) + square(above)) / 2, n = static_cast<double>(above);
  double mean = 0, weighted = 0;  // of what is above the threshold, the second weighted by rank
  for (std::size_t i = 0; i < above; ++i) {
    const double excess = square(i) - threshold;
    mean += excess / n;
    weighted += excess * (n - 1 - static_cast<double>(i)) / (n - 1) / n;
  }
  const double share = n / static_cast<double>(magnitudes.size());
  if (mean <= 0 || real <= threshold) return share;
  // Probability-weighted moments (Hosking and Wallis 1987). The squares of sums have an exponential tail, with shape 0;
  // that of values of which most are alike and few far away is heavier. A lighter one would end and give p of 0.
  const double fitted = 2 - mean / (2 * weighted - mean), error = std::sqrt(4 / (3 * n));
  const double shape = std::max(0.0, fitted - 2 * error), scale = (1 - shape) * mean;
  const double beyond = (real - threshold) / scale;
  return share * (shape < 1e-6 ? std::exp(-beyond) : std::pow(1 + shape * beyond, -1 / shape));
}

OPTSCOPE_INLINE double p_of_first(std::span<float> contrasts, const labellings& null) {
  constexpr std::size_t enough = 10;
  constexpr double furthest = 1e-9;                                 // what a tail of 250 values is trusted for
  const float real = std::abs(contrasts[0]), least = real - 1e-4f;  // rounding; these are sums of standardised values
  std::size_t reached = 0;
  for (float& each : contrasts) {
    each = std::abs(each);
    reached += each >= least;
  }
  const double counted = static_cast<double>(reached) / static_cast<double>(contrasts.size());
  if (null.exact || reached >= enough) return counted;
  const double tail = share_in_tail(contrasts.subspan(1), static_cast<double>(real) * static_cast<double>(real));
  return std::max({tail, furthest, null.smallest_p});
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
