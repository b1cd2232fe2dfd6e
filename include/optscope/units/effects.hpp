// SPDX-License-Identifier: MIT
#pragma once
// How much more active units are in one category than in the others: effect sizes, permutation tests, false discovery
// rates.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/units/unit_sums.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// Hedges' g of one category against the others: [unit]. The text is the unit of observation: the category's mean minus
/// the mean of the other categories' means, over the standard deviation of texts within their categories, times
/// 1 - 3/(4 df - 1) for small samples. NaN where texts do not vary within categories, or no category has two texts.
///
/// Hedges, "Distribution theory for Glass's estimator of effect size and related estimators", 1981.
[[nodiscard]] std::vector<double> effect_sizes(const unit_sums& sums, const text_groups& texts, std::size_t category,
                                               unit_statistic statistic);

/// Which groups have a category's label in each relabelling: (labelling, group), 0 or 1. The real labels come first.
struct labellings {
  tensor<float, 2> masks;
  bool exact = false;  ///< all possible labellings, each once; otherwise they are drawn at random
};

/// All ways to give the label of `category` to the number of groups that have it, or `most` random ways if there are
/// more. `group_category` [group].
[[nodiscard]] labellings relabel(const std::vector<std::size_t>& group_category, std::size_t category,
                                 std::size_t most = 2000, std::uint64_t seed = 0);

namespace detail {
/// Mean of a statistic in each group, for `values.rows()` units from `first` on, standardised over the groups to mean 0
/// and variance 1: (unit, group). Zeros for a unit that is the same in all groups.
void standardised_groups(const unit_sums& sums, const text_groups& texts, unit_statistic statistic, std::size_t first,
                         tensor_view<float, 2> values);
/// The share of the values whose magnitude is at least that of the first.
[[nodiscard]] double share_at_least_first(std::span<const float> values);
}  // namespace detail

/// Two-sided p of every unit: the share of labellings, the real one included, in which the category differs from the
/// rest at least as much as it does with the real labels. 1 for a unit that is the same in all groups. `Backend` models
/// `backend_for<Backend, float>`.
template <class Backend>
[[nodiscard]] std::vector<double> permutation_p(const unit_sums& sums, const text_groups& texts,
                                                unit_statistic statistic, const labellings& null, Backend& backend) {
  constexpr std::size_t units_at_a_time = 1024;
  const std::size_t size = sums.units().size(), groups = texts.count(), labels = null.masks.rows();
  std::vector<double> result(size, 1.0);
  tensor<float, 2> values{{units_at_a_time, groups}}, differences{{units_at_a_time, labels}};
  for (std::size_t begin = 0; begin < size; begin += units_at_a_time) {
    const std::size_t count = std::min(units_at_a_time, size - begin);
    detail::standardised_groups(sums, texts, statistic, begin, values.view().slice(0, count));
    backend.linear(std::as_const(values).view().slice(0, count), null.masks.view(), static_cast<const float*>(nullptr),
                   differences.view().slice(0, count));
    for (std::size_t i = 0; i < count; ++i) {
      result[begin + i] = detail::share_at_least_first(std::as_const(differences).row(i));
    }
  }
  return result;
}

/// Benjamini and Hochberg's adjusted p values. If all results with a value of at most `rate` are called findings, a
/// share of at most `rate` of them is expected to be false.
[[nodiscard]] std::vector<double> false_discovery_rates(std::span<const double> p);

/// One statistic of all units in all categories: (category, unit).
struct unit_effects {
  tensor<double, 2> g, p;
  tensor<double, 2> q;                  ///< p adjusted over all categories and all units of the same kind
  std::vector<std::size_t> labellings;  ///< [category]: how many labellings p rests on
  std::vector<bool> exact;              ///< [category]: these are all possible labellings
};

namespace detail {
void adjust_by_kind(const unit_table& units, unit_effects& effects);
}

/// Effect sizes and permutation tests of all units. Costs up to 2,000 products of (unit, group) by (group) a category.
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
  detail::adjust_by_kind(sums.units(), result);
  return result;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/effects.ipp>
#endif
