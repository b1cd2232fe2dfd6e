// SPDX-License-Identifier: MIT
#pragma once
// How much more active units are in one category than in the others: effect sizes, a permutation null, false discovery
// rate.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optscope/core/tensor.hpp>
#include <optscope/units/unit_sums.hpp>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// Hedges' g of one category against the others, of every unit, the text being the unit of observation: the category's
/// mean minus the mean of the other categories' means, over the standard deviation of texts within their categories,
/// times 1 - 3/(4 df - 1) for small samples. NaN where texts do not vary within categories, or no category has two.
///
/// Hedges, "Distribution theory for Glass's estimator of effect size and related estimators", 1981.
[[nodiscard]] inline std::vector<double> effect_sizes(const unit_sums& sums, const text_groups& texts,
                                                      std::size_t category, unit_statistic statistic) {
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

/// Which groups count as the category's in each relabelling: (labelling, group), 0 or 1, the real one first.
struct labellings {
  tensor<float, 2> masks;
  bool exact = false;  ///< every possible one is there, once; else they are drawn
};

/// All ways to choose as many groups as the category has, or `most` of them by chance if there are more.
[[nodiscard]] inline labellings relabel(const std::vector<std::size_t>& group_category, std::size_t category,
                                        std::size_t most = 2000, std::uint64_t seed = 0) {
  const std::size_t groups = group_category.size();
  std::vector<float> real(groups);
  for (std::size_t i = 0; i < groups; ++i) real[i] = group_category[i] == category ? 1 : 0;
  const auto chosen = static_cast<std::size_t>(std::count(real.begin(), real.end(), 1.0f));
  double possible = 1;
  for (std::size_t i = 0; i < chosen; ++i) possible *= static_cast<double>(groups - i) / static_cast<double>(i + 1);

  labellings result;
  result.exact = possible < static_cast<double>(most) + 0.5;
  std::vector<float> rows(real);
  if (result.exact) {
    std::vector<float> next(groups);
    std::fill(next.end() - static_cast<std::ptrdiff_t>(chosen), next.end(), 1.0f);
    do {
      if (next != real) rows.insert(rows.end(), next.begin(), next.end());
    } while (std::next_permutation(next.begin(), next.end()));
  } else {
    std::mt19937_64 bits{seed};
    std::vector<float> drawn(real);
    for (std::size_t row = 1; row < most; ++row) {
      for (std::size_t i = groups; i > 1; --i) std::swap(drawn[i - 1], drawn[bits() % i]);
      rows.insert(rows.end(), drawn.begin(), drawn.end());
    }
  }
  result.masks = tensor<float, 2>{{rows.size() / std::max<std::size_t>(1, groups), groups}};
  std::copy(rows.begin(), rows.end(), result.masks.data());
  return result;
}

/// Two-sided p of every unit: the share of labellings whose category differs from the rest at least as much as the real
/// one does, the real one counted. 1 for a unit that is the same in all groups.
template <class Backend>
[[nodiscard]] std::vector<double> permutation_p(const unit_sums& sums, const text_groups& texts,
                                                unit_statistic statistic, const labellings& null, Backend& backend) {
  constexpr std::size_t units_at_a_time = 1024;
  const std::size_t size = sums.units().size(), groups = texts.count(), labels = null.masks.rows();
  std::vector<double> result(size, 1.0);
  tensor<float, 2> values{{units_at_a_time, groups}}, chosen{{units_at_a_time, labels}};
  for (std::size_t begin = 0; begin < size; begin += units_at_a_time) {
    const std::size_t count = std::min(units_at_a_time, size - begin);
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = values.row(i);
      double mean = 0, square = 0, largest = 0;
      for (std::size_t g = 0; g < groups; ++g) {
        row[g] = sums.group_sum(g, statistic)[begin + i] / static_cast<float>(texts.members()[g]);
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
    const tensor_view<float, 2> of_units{chosen.data(), {count, labels}};
    backend.linear(tensor_view<const float, 2>{values.data(), {count, groups}},
                   tensor_view<const float, 2>{null.masks.view()}, static_cast<const float*>(nullptr), of_units);
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = of_units.row(i);
      const float real = std::abs(row[0]) - 1e-4f;  // rounding; the values are standardised
      const auto reached = std::count_if(row.begin(), row.end(), [&](float value) { return std::abs(value) >= real; });
      result[begin + i] = static_cast<double>(reached) / static_cast<double>(labels);
    }
  }
  return result;
}

/// Benjamini and Hochberg's adjusted p: those at most `rate` are findings of which a share of at most `rate` is false.
[[nodiscard]] inline std::vector<double> false_discovery_rates(std::span<const double> p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> q(p.size());
  double smallest = 1;
  for (std::size_t rank = p.size(); rank-- > 0;) {
    const double each = p[order[rank]] * static_cast<double>(p.size()) / static_cast<double>(rank + 1);
    smallest = std::min(smallest, each);
    q[order[rank]] = smallest;
  }
  return q;
}

/// One statistic of all units in all categories: (category, unit).
struct unit_effects {
  tensor<double, 2> g, p, q;            ///< q: controlled over the categories and the units of one kind
  std::vector<std::size_t> labellings;  ///< [category]: how many p rests on
  std::vector<bool> exact;              ///< [category]: these are all there are
};

template <class Backend>
[[nodiscard]] unit_effects compare_categories(const unit_sums& sums, const text_groups& texts, unit_statistic statistic,
                                              Backend& backend) {
  const std::size_t categories = texts.categories(), size = sums.units().size();
  unit_effects result;
  for (auto* table : {&result.g, &result.p, &result.q}) *table = tensor<double, 2>{{categories, size}};
  for (std::size_t c = 0; c < categories; ++c) {
    const labellings null = relabel(texts.category(), c);
    result.labellings.push_back(null.masks.rows());
    result.exact.push_back(null.exact);
    std::ranges::copy(effect_sizes(sums, texts, c, statistic), result.g.row(c).data());
    std::ranges::copy(permutation_p(sums, texts, statistic, null, backend), result.p.row(c).data());
  }
  for (const unit_kind kind : all_unit_kinds) {
    const std::vector<std::size_t> numbers = sums.units().all(kind);
    std::vector<double> p;
    for (std::size_t c = 0; c < categories; ++c) {
      for (const std::size_t u : numbers) p.push_back(result.p(c, u));
    }
    const std::vector<double> q = false_discovery_rates(p);
    for (std::size_t i = 0; i < q.size(); ++i) result.q(i / numbers.size(), numbers[i % numbers.size()]) = q[i];
  }
  return result;
}

}  // namespace optscope
