// SPDX-License-Identifier: MIT
#pragma once
// Neurons and heads as what may be removed, in the order of a score.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/isolation/continuations.hpp>
#include <optscope/isolation/learned_mask.hpp>
#include <optscope/isolation/removal_candidates.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/isolation/removal_order.hpp>
#include <optscope/isolation/removal_scores.hpp>
#include <optscope/units/ablation.hpp>
#include <optscope/units/activity.hpp>
#include <optscope/units/attribute.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// Which neurons and heads may be removed, and how they are scored.
struct unit_candidate_settings {
  std::vector<unit_kind> kinds{unit_kind::neuron, unit_kind::head};
  std::vector<std::size_t> layers{};  ///< ascending
  bool even = false;                  ///< the same number of neurons from every layer
  any_removal_score score = activation_ratio<unit_statistic::rms>{};
  replacement with = replacement::zero;
  std::size_t rounds = 1;    ///< scoring rounds; more than one only for scores that read the activity alone
  double round_share = 0.6;  ///< the share of the units that is removed over all rounds
  mask_settings mask{};      ///< for scores that read a mask, and the cost that gives absolute scores their size
  std::size_t ablation_tokens = 128;  ///< of each category, for scores that read ablation
};

/// Models `removal_candidates`. The weights of `Model` are `pruned_weights`.
///
///     unit_candidates parts{opt, texts, {.layers = {0, 1, 2, 3}, .score = largest_ratio<unit_statistic::rms>{}}};
///     parts.prepare({kept}, {});
///     const std::vector<std::size_t> order = parts.order(kept, removal_order::by_score);
///     const removal what = parts.removal_of(parts.ordering().first(order, 500), kept);
template <class Model>
class unit_candidates {
 public:
  static constexpr candidate_terms terms{.part_of_layer = "half",
                                         .kept_most = "of highest activity in the kept category"};
  static constexpr double most_on_curves = 0.6;
  static constexpr std::size_t one_in = 2;
  static constexpr std::size_t first_layer = 0;

  unit_candidates(Model& opt, const scoring_texts& texts, unit_candidate_settings how)
      : opt_{opt},
        texts_{texts},
        how_{std::move(how)},
        ordering_{
            unit_table{opt.shape()},
            {.kinds = how_.kinds, .layers = how_.layers, .even = how_.even, .absolute_scores = how_.score.absolute}} {}

  [[nodiscard]] const unit_ordering& ordering() const noexcept { return ordering_; }
  [[nodiscard]] bool depends_on_kept() const noexcept { return how_.with == replacement::kept_mean; }

  /// Costs a run over the scoring texts for the activity; then what the score needs. `report` may throw to stop it.
  void prepare(const std::vector<std::size_t>& categories, const study_progress& report) {
    report_ = report;
    const category_texts all = texts_.all();
    const std::size_t count = texts_.texts.size();
    active_.emplace(sum_up(opt_, all, texts_.bos));
    if (how_.score.reads == score_input::attribution) {
      loss_.emplace(attribute(opt_, all, texts_.bos, counter(report, "gradients")));
    }
    if (how_.score.reads == score_input::ablation) {
      ablation_.emplace(ablate(opt_, all, texts_.bos, how_.ablation_tokens, [&](double done, double of) {
        if (report) report("ablation", done, of);
      }));
    }
    masks_.resize(count);
    for (const std::size_t c : categories) {
      if (how_.score.reads == score_input::mask) masks_[c] = mask(c, sources(), "mask, " + texts_.categories[c]);
    }
    orders_.resize(count);
    if (how_.rounds < 2) return;
    for (std::size_t i = 0; i < categories.size(); ++i) {
      orders_[categories[i]] = order_in_rounds(categories[i], scored());
      counter(report, "scores, rounds")(i + 1, categories.size());
    }
  }

  [[nodiscard]] std::vector<double> scores(std::size_t kept) const { return how_.score(scored(), kept); }

  [[nodiscard]] std::vector<std::size_t> order(std::size_t kept, removal_order order, std::uint64_t seed = 0) const {
    if (order == removal_order::by_score && !orders_[kept].empty()) return orders_[kept];
    return ordering_.order(scores(kept), order, seed);
  }

  [[nodiscard]] removal removal_of(const std::vector<std::size_t>& numbers, std::size_t kept) const {
    return optscope::removal_of(numbers, *active_, kept, how_.with);
  }

  /// For absolute scores: as many units as cost the kept category's scoring texts `mask.cost` nats per token, found by
  /// bisection, but at most a fiftieth more than have a score above 0. Few texts are fitted by much less than others
  /// need.
  [[nodiscard]] std::optional<std::size_t> own_count(std::size_t kept, const std::vector<std::size_t>& numbers) {
    if (!how_.score.absolute) return std::nullopt;
    const token_batch batch = texts_to_spare(kept);
    const double allowed = loss_without(batch, numbers, 0, kept) + how_.mask.cost;
    const std::vector<double> score = scores(kept);
    const auto above_zero =
        static_cast<std::size_t>(std::ranges::count_if(numbers, [&](std::size_t u) { return score[u] > 0; }));
    std::size_t low = 0, high = numbers.size(), middle = above_zero;
    while (high - low > 1) {
      if (middle > low && middle < high) {
        (loss_without(batch, numbers, middle, kept) > allowed ? high : low) = middle;
      }
      middle = (low + high) / 2;
    }
    return std::min(low, above_zero + above_zero / 50);
  }

  /// Scores the units anew from two halves of the scoring texts, and for a mask with another seed.
  [[nodiscard]] set_overlaps compare(const std::vector<std::size_t>& found, std::size_t kept,
                                     const study_progress& report) {
    report_ = report;
    opt_.weights().remove({}, opt_.backend().pool());
    std::vector<std::vector<std::size_t>> sets;
    for (const std::size_t half : {0, 1}) sets.push_back(set_of_half(found.size(), kept, half));
    set_overlaps result{.of_halves = overlap(sets[0], sets[1])};
    if (how_.score.reads == score_input::mask) {
      result.of_seeds = overlap(found, set_by_mask(found.size(), kept, sources(), "mask of another seed", 1));
    }
    return result;
  }

 private:
  [[nodiscard]] scored_texts scored() const {
    return {.sums = active_->sums,
            .texts = active_->groups,
            .loss = loss_ ? &*loss_ : nullptr,
            .masks = &masks_,
            .ablation = ablation_ ? &*ablation_ : nullptr};
  }

  /// A report of counts.
  static auto counter(const study_progress& report, std::string what) {
    return [&report, what = std::move(what)](std::size_t done, std::size_t all) {
      if (report) report(what, static_cast<double>(done), static_cast<double>(all));
    };
  }

  /// The order by scores that are computed `rounds` times, each time from what remains without the units that are
  /// removed first. `half`: the half of the texts that `from` is of, if not of all.
  [[nodiscard]] std::vector<std::size_t> order_in_rounds(std::size_t kept, const scored_texts& from,
                                                         std::optional<std::size_t> half = std::nullopt) const {
    std::vector<std::size_t> numbers = ordering_.order(how_.score(from, kept), removal_order::by_score);
    opt_.weights().remove({}, opt_.backend().pool());
    for (std::size_t round = 1; round < how_.rounds; ++round) {
      const double share = how_.round_share * static_cast<double>(round) / static_cast<double>(how_.rounds);
      const auto count = static_cast<std::size_t>(std::llround(share * static_cast<double>(numbers.size())));
      std::vector<std::size_t> gone = ordering_.first(numbers, count);
      removal_edits edits = edits_of(removal_of(gone, kept), opt_.shape());
      const activity of_all = sum_up(opt_, texts_.all(), texts_.bos, edits);
      const activity& left = half ? of_all.halves[*half] : of_all;
      std::vector<double> score = how_.score({.sums = left.sums, .texts = left.groups}, kept);
      for (const std::size_t u : gone) score[u] = std::numeric_limits<double>::infinity();
      const std::vector<std::size_t> next = ordering_.order(std::move(score), removal_order::by_score);
      numbers = gone_first(std::move(numbers), std::move(gone), next);
    }
    return numbers;
  }

  /// `gone` in the order of `before`, then the others in the order of `after`.
  static std::vector<std::size_t> gone_first(std::vector<std::size_t> before, std::vector<std::size_t> gone,
                                             const std::vector<std::size_t>& after) {
    std::sort(gone.begin(), gone.end());
    const auto is_gone = [&](std::size_t u) { return std::binary_search(gone.begin(), gone.end(), u); };
    std::erase_if(before, [&](std::size_t u) { return !is_gone(u); });
    for (const std::size_t u : after) {
      if (!is_gone(u)) before.push_back(u);
    }
    return before;
  }

  /// What masks are learned from: [source][category][text].
  [[nodiscard]] std::vector<category_texts> sources() const {
    std::vector<category_texts> all{texts_.texts};
    if (!texts_.written.empty()) all.push_back(texts_.written);
    return all;
  }
  [[nodiscard]] std::vector<double> mask(std::size_t kept, const std::vector<category_texts>& from,
                                         const std::string& name, std::uint64_t seed = 0) {
    mask_settings settings = how_.mask;
    settings.seed += seed;
    opt_.weights().remove({}, opt_.backend().pool());
    return learn_mask(opt_, from, kept, texts_.bos, removal_of(ordering_.all(), kept), settings,
                      counter(report_, name));
  }

  /// Windows of the kept category's scoring texts, at most about 4,096 tokens.
  [[nodiscard]] token_batch texts_to_spare(std::size_t kept) const {
    constexpr std::size_t length = 256, most = 4096;
    token_batch batch;
    std::size_t tokens = 0;
    for (const token_list& text : texts_.texts[kept]) {
      for (window& each : windows_of(text, std::min(length, opt_.shape().max_positions), texts_.bos)) {
        if (tokens >= most || each.tokens.size() < 2) continue;
        tokens += each.tokens.size();
        batch.push_back(std::move(each.tokens));
      }
    }
    return batch;
  }
  /// Nats per token without the first `count` units.
  [[nodiscard]] double loss_without(const token_batch& batch, const std::vector<std::size_t>& numbers,
                                    std::size_t count, std::size_t kept) {
    opt_.weights().remove(removal_of(ordering_.first(numbers, count), kept), opt_.backend().pool());
    next_token_loss found{batch};
    opt_.run(batch, found);
    return found.mean([](std::size_t) { return true; });
  }

  [[nodiscard]] std::vector<std::size_t> set_by(std::size_t count, std::size_t kept, const scored_texts& from,
                                                std::optional<std::size_t> half = std::nullopt) const {
    return ordering_.first(order_in_rounds(kept, from, half), count);
  }
  [[nodiscard]] std::vector<std::size_t> set_by_mask(std::size_t count, std::size_t kept,
                                                     const std::vector<category_texts>& from, const std::string& name,
                                                     std::uint64_t seed) {
    std::vector<std::vector<double>> other(texts_.texts.size());
    other[kept] = mask(kept, from, name, seed);
    scored_texts with = scored();
    with.masks = &other;
    return set_by(count, kept, with);
  }
  [[nodiscard]] std::vector<std::size_t> set_of_half(std::size_t count, std::size_t kept, std::size_t half) {
    if (how_.score.reads == score_input::mask) {
      std::vector<category_texts> halved;
      for (const category_texts& source : sources()) halved.push_back(half_of(source, half));
      return set_by_mask(count, kept, halved, "mask of a half, " + std::to_string(half + 1), 0);
    }
    if (how_.score.reads == score_input::ablation) {
      const ablation_effects part = ablation_->half(half);
      scored_texts from = scored();
      from.ablation = &part;
      return set_by(count, kept, from);
    }
    const activity& part = active_->halves[half];
    std::optional<loss_attribution> loss;
    if (how_.score.reads == score_input::attribution) {
      loss.emplace(attribute(
          opt_, texts_.all(), texts_.bos, [](std::size_t, std::size_t) {}, attributed_part{.first = half, .step = 2}));
    }
    return set_by(count, kept, {.sums = part.sums, .texts = part.groups, .loss = loss ? &*loss : nullptr}, half);
  }
  /// Every second text of each category; a category's only text is in both halves.
  static category_texts half_of(const category_texts& all, std::size_t half) {
    category_texts some(all.size());
    for (std::size_t c = 0; c < all.size(); ++c) {
      for (std::size_t i = half; i < all[c].size(); i += 2) some[c].push_back(all[c][i]);
      if (some[c].empty()) some[c] = all[c];
    }
    return some;
  }

  Model& opt_;
  const scoring_texts& texts_;
  unit_candidate_settings how_;
  unit_ordering ordering_;
  study_progress report_;
  std::optional<activity> active_;
  std::optional<loss_attribution> loss_;
  std::optional<ablation_effects> ablation_;
  std::vector<std::vector<double>> masks_;        // [category][unit]
  std::vector<std::vector<std::size_t>> orders_;  // [category]: by scores of several rounds
};

}  // namespace optscope
