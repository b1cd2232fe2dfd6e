// SPDX-License-Identifier: MIT
#pragma once
// How much more active units are in one category than in the others: effect sizes with intervals, permutation tests,
// false discovery rates.

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

/// The same of one half of the texts: the even groups of each category (`half` 0) or the odd ones (1). NaN everywhere
/// if a category has no group in that half.
[[nodiscard]] std::vector<double> effect_sizes_of_half(const unit_sums& sums, const text_groups& texts,
                                                       std::size_t category, unit_statistic statistic,
                                                       std::size_t half);

/// Lower and upper ends of intervals: [unit].
struct effect_intervals {
  std::vector<double> low, high;
};

/// Where the effect size of other texts of the same kinds would lie, at 95 %: the jackknife over texts (over groups of
/// them where texts are grouped), with Student's t for Satterthwaite's degrees of freedom. `g` is what `effect_sizes`
/// gives. Units that were chosen because their effect is large are shown with intervals that lie too high.
[[nodiscard]] effect_intervals jackknife_intervals(const unit_sums& sums, const text_groups& texts,
                                                   std::size_t category, unit_statistic statistic,
                                                   std::span<const double> g);

/// The contrast of `effect_sizes` under each relabelling of the groups.
struct labellings {
  /// (labelling, group): the weight of a group's mean in the contrast, times the number of the category's groups. The
  /// real labels come first.
  tensor<float, 2> contrasts;
  bool exact = false;     ///< all different contrasts, each once; otherwise they are drawn at random
  double smallest_p = 1;  ///< two-sided; no p can be below, however clear the difference
};

inline constexpr std::size_t most_labellings = 5'000;

/// All different ways to exchange the labels of groups, or `most` random ones if there are more. `group_category`
/// [group]; groups of one category have the same weight, and categories with equally many groups, `category` apart, are
/// alike.
[[nodiscard]] labellings relabel(const std::vector<std::size_t>& group_category, std::size_t category,
                                 std::size_t most = most_labellings, std::uint64_t seed = 0);

namespace detail {
/// Mean of a statistic in each group, for `values.rows()` units from `first` on, standardised over the groups to mean 0
/// and variance 1: (unit, group). Zeros for a unit that is the same in all groups.
void standardised_groups(const unit_sums& sums, const text_groups& texts, unit_statistic statistic, std::size_t first,
                         tensor_view<float, 2> values);
/// p of the first contrast of a unit among all of them (labelling). Overwrites the others.
[[nodiscard]] double p_of_first(std::span<float> contrasts, const labellings& null);
}  // namespace detail

/// Two-sided p of every unit: the share of labellings, the real one included, in which the contrast is at least as
/// large as with the real labels. 1 for a unit that is the same in all groups. `Backend` models `backend_for<Backend,
/// float>`.
///
/// Where labellings are drawn and fewer than ten of them reach the real one, the share is that of a generalised Pareto
/// tail (Knijnenburg et al., "Fewer permutations, more accurate P-values", 2009), fitted to the squares of the
/// contrasts and no lighter than exponential; never below `null.smallest_p` or 1e-9.
template <class Backend>
[[nodiscard]] std::vector<double> permutation_p(const unit_sums& sums, const text_groups& texts,
                                                unit_statistic statistic, const labellings& null, Backend& backend) {
  constexpr std::size_t units_at_a_time = 1024;
  const std::size_t size = sums.units().size();
  std::vector<double> result(size, 1.0);
  tensor<float, 2> values{{units_at_a_time, texts.count()}}, contrasts{{units_at_a_time, null.contrasts.rows()}};
  for (std::size_t begin = 0; begin < size; begin += units_at_a_time) {
    const std::size_t count = std::min(units_at_a_time, size - begin);
    detail::standardised_groups(sums, texts, statistic, begin, values.view().slice(0, count));
    backend.linear(std::as_const(values).view().slice(0, count), null.contrasts.view(),
                   static_cast<const float*>(nullptr), contrasts.view().slice(0, count));
    backend.pool().parallel_for(
        count, [&](std::size_t i, std::size_t) { result[begin + i] = detail::p_of_first(contrasts.row(i), null); });
  }
  return result;
}

/// Benjamini and Hochberg's adjusted p values. If all results with a value of at most `rate` are called findings, a
/// share of at most `rate` of them is expected to be false.
[[nodiscard]] std::vector<double> false_discovery_rates(std::span<const double> p);

/// One statistic of all units in all categories: (category, unit).
struct unit_effects {
  tensor<double, 2> g;
  tensor<double, 2> low, high;  ///< the interval of g
  tensor<double, 2> p;
  tensor<double, 2> q;                  ///< p adjusted over all categories and all units of the same kind
  std::vector<std::size_t> labellings;  ///< [category]: how many labellings p rests on
  std::vector<bool> exact;              ///< [category]: these are all possible labellings
  std::vector<double> smallest_p;       ///< [category]: no p can be below, however clear the difference
};

namespace detail {
void adjust_by_kind(const unit_table& units, unit_effects& effects);
}

/// Effect sizes, their intervals and permutation tests of all units, of one and the same contrast. Costs up to 5,000
/// products of (unit, group) by (group) a category. `seed`: of labellings that are drawn.
template <class Backend>
[[nodiscard]] unit_effects compare_categories(const unit_sums& sums, const text_groups& texts, unit_statistic statistic,
                                              Backend& backend, std::uint64_t seed = 0) {
  const std::size_t categories = texts.categories(), size = sums.units().size();
  unit_effects result;
  for (auto* table : {&result.g, &result.low, &result.high, &result.p, &result.q}) {
    *table = tensor<double, 2>{{categories, size}};
  }
  for (std::size_t c = 0; c < categories; ++c) {
    const labellings null = relabel(texts.category(), c, most_labellings, seed);
    result.labellings.push_back(null.contrasts.rows());
    result.exact.push_back(null.exact);
    result.smallest_p.push_back(null.smallest_p);
    const std::vector<double> g = effect_sizes(sums, texts, c, statistic);
    const effect_intervals at = jackknife_intervals(sums, texts, c, statistic, g);
    std::ranges::copy(g, result.g.row(c).data());
    std::ranges::copy(at.low, result.low.row(c).data());
    std::ranges::copy(at.high, result.high.row(c).data());
    std::ranges::copy(permutation_p(sums, texts, statistic, null, backend), result.p.row(c).data());
  }
  detail::adjust_by_kind(sums.units(), result);
  return result;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/effects.ipp>
#endif
