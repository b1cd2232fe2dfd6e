// SPDX-License-Identifier: MIT
#pragma once
// Which neurons or heads to take out so that one category of texts is kept: scores, as types, and sets made from them.

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optscope/opt/removal.hpp>
#include <optscope/units/ablation.hpp>
#include <optscope/units/attribution.hpp>
#include <optscope/units/head_means.hpp>
#include <optscope/units/unit_sums.hpp>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// What a score is computed from: the activity of every unit in scoring texts of each category, and what their loss
/// owes to it.
struct scored_texts {
  const unit_sums& sums;
  const text_groups& texts;
  /// By category, and behind those by category that is kept: of its texts each behind the beginning of another's. Null
  /// unless a score asks for it.
  const loss_attribution* loss = nullptr;
  /// [kept category][unit]: what `learn_mask` gave. Null unless a score asks for it.
  const std::vector<std::vector<double>>* masks = nullptr;
  /// Null unless heads are replaced by means.
  const head_means* heads = nullptr;
  /// Null unless a score asks for it.
  const ablation_effects* ablation = nullptr;

  /// Mean of a statistic over the texts of a category.
  [[nodiscard]] double mean(std::size_t category, unit_statistic statistic, std::size_t unit) const {
    return sums.sum(category, statistic)[unit] / static_cast<double>(texts.texts(category));
  }
  /// Mean over the other categories, each counting once.
  [[nodiscard]] double mean_of_others(std::size_t kept, unit_statistic statistic, std::size_t unit) const {
    double sum = 0;
    for (std::size_t c = 0; c < texts.categories(); ++c) sum += c == kept ? 0 : mean(c, statistic, unit);
    return sum / static_cast<double>(texts.categories() - 1);
  }
};

/// A removal score: a number for every unit of the table, the highest to be removed first; NaN: never.
template <class Score>
concept removal_score = requires(const Score score, const scored_texts& texts) {
  { score(texts, std::size_t{}) } -> std::same_as<std::vector<double>>;
};

/// Activity in the other categories over activity in the one that is kept: of neurons by any statistic, of heads by
/// the norm of their result.
template <unit_statistic By>
struct activation_ratio {
  std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
    std::vector<double> score(texts.sums.units().size());
    for (std::size_t u = 0; u < score.size(); ++u) {
      const double own = std::abs(texts.mean(kept, By, u)), others = std::abs(texts.mean_of_others(kept, By, u));
      // A unit that is never active is neither here nor there.
      score[u] = others == 0 ? std::numeric_limits<double>::quiet_NaN() : others / (own + 1e-6);
    }
    return score;
  }
};

/// The most that any other category makes of a unit over what the kept one does: also finds what only one of them uses.
template <unit_statistic By>
struct largest_ratio {
  std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
    std::vector<double> score(texts.sums.units().size());
    for (std::size_t u = 0; u < score.size(); ++u) {
      double others = 0;
      for (std::size_t c = 0; c < texts.texts.categories(); ++c) {
        if (c != kept) others = std::max(others, std::abs(texts.mean(c, By, u)));
      }
      const double own = std::abs(texts.mean(kept, By, u));
      score[u] = others == 0 ? std::numeric_limits<double>::quiet_NaN() : others / (own + 1e-6);
    }
    return score;
  }
};

/// Mean activity in the other categories minus that in the one that is kept.
struct mean_difference {
  std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
    std::vector<double> score(texts.sums.units().size());
    for (std::size_t u = 0; u < score.size(); ++u) {
      score[u] = texts.mean_of_others(kept, unit_statistic::mean, u) - texts.mean(kept, unit_statistic::mean, u);
    }
    return score;
  }
};

/// What the loss of the other categories owes to a unit, to first order and without its sign, over what that of the
/// kept one does.
struct attribution_ratio {
  std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
    const loss_attribution& loss = *texts.loss;
    std::vector<double> score(texts.sums.units().size());
    for (std::size_t u = 0; u < score.size(); ++u) {
      double others = 0;
      for (std::size_t c = 0; c < texts.texts.categories(); ++c) {
        if (c != kept) others += loss.magnitude[c][u] / loss.tokens[c];
      }
      const double own = loss.magnitude[kept][u] / loss.tokens[kept];
      score[u] = others == 0 ? std::numeric_limits<double>::quiet_NaN() : others / (own + 1e-12);
    }
    return score;
  }
};

/// The rank by the ratio of rms, plus part of the rank by how much the kept category's loss behind another's beginning
/// owes to the unit: what is active elsewhere, and holds the model back from writing the kept category there.
struct ratio_and_attribution {
  double part = 0.3;

  std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
    const unit_table& units = texts.sums.units();
    const std::vector<double>& effect = texts.loss->effect[texts.texts.categories() + kept];
    std::vector<double> score = activation_ratio<unit_statistic::rms>{}(texts, kept);
    for (const unit_kind kind : {unit_kind::neuron, unit_kind::head}) {
      std::vector<std::size_t> numbers = units.all(kind);
      std::erase_if(numbers, [&](std::size_t u) { return std::isnan(score[u]); });
      const std::vector<double> ratio = score;
      for (const std::size_t u : numbers) score[u] = 0;
      const auto add_ranks = [&](const std::vector<double>& by, double times) {
        std::stable_sort(numbers.begin(), numbers.end(), [&](std::size_t a, std::size_t b) { return by[a] < by[b]; });
        for (std::size_t i = 0; i < numbers.size(); ++i) {
          score[numbers[i]] += times * static_cast<double>(i) / static_cast<double>(numbers.size());
        }
      };
      add_ranks(ratio, 1);
      add_ranks(effect, part);
    }
    return score;
  }
};

/// How much the loss of the other categories' tokens changes when a unit is taken out, without its sign, over how much
/// that of the kept one's does, both above `floor` nats a token: below it a unit matters to neither. With the sign it
/// is worse: single units help here and harm there by chance.
struct ablation_effect {
  double floor = 3e-4;

  std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
    const auto change = &loss_gain::magnitude;
    const std::vector<double> own = texts.ablation->mean(kept, change);
    const auto others = static_cast<double>(texts.texts.categories() - 1);
    std::vector<double> score(own.size());
    for (std::size_t c = 0; c < texts.texts.categories(); ++c) {
      if (c == kept) continue;
      const std::vector<double> other = texts.ablation->mean(c, change);
      for (std::size_t u = 0; u < score.size(); ++u) score[u] += other[u] / others;
    }
    for (std::size_t u = 0; u < score.size(); ++u) {
      score[u] = score[u] == 0 ? std::numeric_limits<double>::quiet_NaN() : (score[u] + floor) / (own[u] + floor);
    }
    return score;
  }
};

/// What a mask learned for the kept category leaves out, above 0.
struct learned_mask {
  std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const { return (*texts.masks)[kept]; }
};

static_assert(removal_score<activation_ratio<unit_statistic::mean_abs>> && removal_score<mean_difference> &&
              removal_score<attribution_ratio> && removal_score<ratio_and_attribution> &&
              removal_score<ablation_effect> && removal_score<learned_mask>);

/// In which order units are removed.
enum class removal_order { by_score, random, reversed };

/// The units of a kind in the layers chosen, the first to be removed first. Units without a score come last, whatever
/// the order.
[[nodiscard]] inline std::vector<std::size_t> order_of_removal(const std::vector<double>& score,
                                                               const unit_table& units, unit_kind kind,
                                                               const std::vector<std::size_t>& layers,
                                                               removal_order order, std::uint64_t seed = 0) {
  std::vector<std::size_t> numbers;
  for (const std::size_t layer : layers) {
    for (std::size_t i = 0; i < units.count(kind); ++i) numbers.push_back(units.first(kind, layer) + i);
  }
  const auto scored =
      std::stable_partition(numbers.begin(), numbers.end(), [&](std::size_t u) { return !std::isnan(score[u]); });
  if (order == removal_order::random) {
    std::mt19937_64 bits{seed};
    for (auto end = scored - numbers.begin(); end > 1; --end) {
      std::swap(numbers[static_cast<std::size_t>(end - 1)], numbers[bits() % static_cast<std::size_t>(end)]);
    }
  } else {
    std::stable_sort(numbers.begin(), scored, [&](std::size_t a, std::size_t b) {
      return order == removal_order::by_score ? score[a] > score[b] : score[a] < score[b];
    });
  }
  return numbers;
}

/// What stands in the place of a removed neuron or head.
enum class replacement {
  zero,
  kept_mean,  ///< its mean in the category that is kept: of `mlp_post`, of a head of `z`
  mean        ///< its mean over all categories, each counting once
};

/// The removal of these units. Means of heads are those of `texts.heads`.
[[nodiscard]] inline removal removal_of(std::span<const std::size_t> numbers, const scored_texts& texts,
                                        std::size_t kept, replacement with = replacement::zero) {
  const unit_table& units = texts.sums.units();
  const std::size_t categories = texts.texts.categories();
  const auto mean_of = [&](auto in_category) {
    if (with == replacement::kept_mean) return static_cast<float>(in_category(kept));
    double sum = 0;
    for (std::size_t c = 0; c < categories; ++c) sum += in_category(c);
    return static_cast<float>(sum / static_cast<double>(categories));
  };
  std::vector<std::size_t> sorted(numbers.begin(), numbers.end());
  std::sort(sorted.begin(), sorted.end());
  removal result;
  result.layers.resize(units.layers());
  for (const std::size_t number : sorted) {
    const unit what = units[number];
    layer_removal& layer = result.layers[what.layer];
    if (what.kind == unit_kind::head) {
      layer.heads.push_back(what.index);
      const std::size_t width = with == replacement::zero ? 0 : (*texts.heads)(kept, what.layer, what.index).size();
      for (std::size_t d = 0; d < width; ++d) {
        layer.head_values.push_back(
            mean_of([&](std::size_t c) { return (*texts.heads)(c, what.layer, what.index)[d]; }));
      }
    } else if (what.kind == unit_kind::neuron) {
      layer.neurons.push_back(what.index);
      if (with == replacement::zero) continue;
      layer.neuron_values.push_back(
          mean_of([&](std::size_t c) { return texts.mean(c, unit_statistic::mean, number); }));
    }
  }
  return result;
}

/// Jaccard's overlap of two sets of units: shared over all.
[[nodiscard]] inline double overlap(std::vector<std::size_t> a, std::vector<std::size_t> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  std::vector<std::size_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  const std::size_t all = a.size() + b.size() - both.size();
  return all == 0 ? 1 : static_cast<double>(both.size()) / static_cast<double>(all);
}

}  // namespace optscope
