// SPDX-License-Identifier: MIT
#pragma once
// Where in a model the effect of a removal sits: parts of the removal, removals by chance, shifts of the logits.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/isolation/behaviour.hpp>
#include <optscope/isolation/controls.hpp>
#include <optscope/isolation/isolation_result.hpp>
#include <optscope/isolation/isolation_settings.hpp>
#include <optscope/isolation/judge.hpp>
#include <optscope/isolation/removal_bench.hpp>
#include <optscope/isolation/removal_candidates.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// The mean logits over all positions of some texts.
struct mean_logits {
  using sites = site_list<site::logits>;
  std::vector<double> sum{};  // (vocabulary)
  double count = 0;
  void operator()(site::logits, const place&, tensor_view<const float, 2> logits) {
    sum.resize(logits.cols());
    for (std::size_t i = 0; i < logits.rows(); ++i) {
      for (std::size_t id = 0; id < sum.size(); ++id) sum[id] += static_cast<double>(logits(i, id));
    }
    count += static_cast<double>(logits.rows());
  }
};

}  // namespace detail

/// Measures what parts of a removal do alone, what as many units by chance do, and whether a shift of the logits does
/// the same. On the prompts and texts that the bench has.
template <class Model, removal_candidates Candidates, text_judge Judge>
class removal_controls {
 public:
  removal_controls(Model& opt, removal_bench<Model, Judge>& bench, Candidates& candidates, const scoring_texts& texts,
                   const isolation_settings& how, const study_progress& report)
      : opt_{opt}, bench_{bench}, candidates_{candidates}, texts_{texts}, how_{how}, report_{report} {}

  [[nodiscard]] std::vector<control_result> measure(const isolated_category& found) {
    bench_.what.sure = how_.sure_on_curves;
    const std::vector<planned_control> planned = planned_controls(found);
    std::vector<removal> removals;
    for (const planned_control& each : planned) removals.push_back(candidates_.removal_of(each.removed, how_.kept));
    constexpr std::size_t others = 4;  // two shifts of the logits, two prompts of BOS alone
    std::size_t done = 0;
    const auto count = [&] {
      ++done;
      if (report_) report_("where it sits", static_cast<double>(done), static_cast<double>(planned.size() + others));
    };
    const std::vector<behaviour> measured = bench_.measure_all(removals, std::nullopt, count);
    std::vector<control_result> result;
    for (std::size_t i = 0; i < planned.size();) {
      const std::size_t pooled_count = planned[i].what == control::random_units ? how_.draws : 1;
      result.push_back({.what = planned[i].what,
                        .layer = planned[i].layer,
                        .removed = planned[i].removed.size(),
                        .found = pooled(std::span{measured}.subspan(i, pooled_count))});
      i += pooled_count;
    }
    add_shifts(found.what, result, count);
    add_bos_alone(found, result, count);
    return result;
  }

 private:
  using numbers = std::vector<std::size_t>;

  /// A control before it is measured.
  struct planned_control {
    control what;
    std::size_t layer = 0;
    numbers removed{};
  };

  /// The controls that are removals of some units.
  [[nodiscard]] std::vector<planned_control> planned_controls(const isolated_category& found) const {
    const std::size_t kept = how_.kept, half = opt_.layers() / 2;
    const unit_ordering& ordering = candidates_.ordering();
    const auto part = [&](auto in_layer) {
      numbers some;
      for (const std::size_t u : found.numbers) {
        if (in_layer(ordering.units()[u].layer)) some.push_back(u);
      }
      return some;
    };
    std::vector<planned_control> result{{.what = control::nothing},
                                        {.what = control::whole_removal, .removed = found.numbers}};
    const std::vector<double> scores = candidates_.scores(kept);
    for (const std::size_t layer : ordering.layers()) {
      numbers of_layer = ordering.order_in({layer}, scores, removal_order::by_score);
      of_layer.resize(of_layer.size() / Candidates::one_in);
      result.push_back({.what = control::layer_alone, .layer = layer, .removed = std::move(of_layer)});
    }
    for (const std::size_t layer : ordering.layers()) {
      result.push_back({.what = control::without_layer, .layer = layer, .removed = part([&](std::size_t of) {
                                                                          return of != layer;
                                                                        })});
    }
    result.push_back({.what = control::first_half, .removed = part([&](std::size_t of) { return of < half; })});
    result.push_back({.what = control::second_half, .removed = part([&](std::size_t of) { return of >= half; })});
    for (std::size_t draw = 0; draw < how_.draws; ++draw) {
      numbers drawn =
          ordering.first(candidates_.order(kept, removal_order::random, how_.seed + 77 + draw), found.removed);
      result.push_back({.what = control::random_units, .removed = std::move(drawn)});
    }
    const numbers reversed = candidates_.order(kept, removal_order::reversed, 0);
    result.push_back({.what = control::reversed_score, .removed = ordering.first(reversed, found.removed)});
    result.push_back({.what = control::kept_most, .removed = ordering.first(reversed, reversed.size() / 5)});
    return result;
  }

  /// The whole model with the removal's mean change of the logits added.
  template <class Count>
  void add_shifts(const removal& what, std::vector<control_result>& result, Count count) {
    const std::vector<float> shift = shift_of(what);
    for (const float times : {1.0f, 2.0f}) {
      logit_shift scaled{shift};
      for (float& each : scaled.by) each *= times;
      behaviour found = bench_.measure_edited(scaled);
      found.written.clear();
      result.push_back({.what = control::logit_shift, .times = static_cast<double>(times), .found = std::move(found)});
      count();
    }
  }

  /// What the model writes without a prompt.
  template <class Count>
  void add_bos_alone(const isolated_category& removed, std::vector<control_result>& result, Count count) {
    const token_id bos = texts_.bos.value_or(texts_.texts[0][0][0]);
    const std::size_t other = how_.kept == 0 ? 1 : 0;
    const std::size_t of_curves = bench_.what.prompts.tokens.size() / texts_.categories.size();
    corpus alone = bench_.what.prompts.emptied();
    for (std::size_t i = 0; i < 2 * of_curves; ++i) alone.add(other, {bos});
    for (const control what : {control::nothing_after_bos, control::removal_after_bos}) {
      const bool removes = what == control::removal_after_bos;
      behaviour found = bench_.measure_prompts(removes ? removed.what : removal{}, alone);
      found.written.clear();
      result.push_back({.what = what, .removed = removes ? removed.removed : 0, .found = std::move(found)});
      count();
    }
  }

  /// Mean logits over scoring texts of the other categories with the removal minus without: (vocabulary).
  [[nodiscard]] std::vector<float> shift_of(const removal& what) {
    constexpr std::size_t length = 256;
    token_batch batch;
    for (std::size_t c = 0; c < texts_.categories.size(); ++c) {
      if (c != how_.kept) batch.push_back(texts_.texts[c][0]);
    }
    batch = trim(std::move(batch), length);
    detail::mean_logits with, without;
    opt_.weights().remove({}, opt_.backend().pool());
    opt_.run(batch, without);
    opt_.weights().remove(what, opt_.backend().pool());
    direction_edits edits = direction_edits_of(what);
    opt_.run(batch, edits, with);
    std::vector<float> shift;
    for (std::size_t id = 0; id < with.sum.size(); ++id) {
      shift.push_back(static_cast<float>(with.sum[id] / with.count - without.sum[id] / without.count));
    }
    return shift;
  }

  Model& opt_;
  removal_bench<Model, Judge>& bench_;
  Candidates& candidates_;
  const scoring_texts& texts_;
  const isolation_settings& how_;
  const study_progress& report_;
};

}  // namespace optscope
