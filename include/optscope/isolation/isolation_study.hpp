// SPDX-License-Identifier: MIT
#pragma once
// The study of isolation: how a model changes as units are removed, the smallest removal that leaves one category, and
// where its effect sits.

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/corpus/halves.hpp>
#include <optscope/isolation/behaviour.hpp>
#include <optscope/isolation/continuations.hpp>
#include <optscope/isolation/isolation_result.hpp>
#include <optscope/isolation/isolation_settings.hpp>
#include <optscope/isolation/judge.hpp>
#include <optscope/isolation/measured_texts.hpp>
#include <optscope/isolation/removal_bench.hpp>
#include <optscope/isolation/removal_candidates.hpp>
#include <optscope/isolation/removal_controls.hpp>
#include <optscope/isolation/repetition.hpp>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// A removal must turn other prompts nearly as often as the whole model continues the kept category's own as such: this
/// share of it.
inline constexpr double enough_of_own = 0.95;

inline std::size_t count_of(double share, std::size_t all) {
  return static_cast<std::size_t>(std::llround(share * static_cast<double>(all)));
}

}  // namespace detail

/// One study. The size of a removal is chosen by prompts from one part of the held-out texts and measured by prompts
/// from the other; the loss in the end is that of all held-out texts, which no choice depends on.
///
///     unit_candidates parts{opt, texts, {.layers = layers}};
///     isolation_study study{opt, bench, parts, texts, measured, {.kept = 2}, report};
///     const isolation_result result = study.run();
///     write_summary("summary.json", result, record);
template <class Model, removal_candidates Candidates, text_judge Judge>
class isolation_study {
 public:
  /// `texts` gives the scores, `measured` what is measured; both are of the same categories. The bench says how prompts
  /// are continued; the study sets what it measures.
  isolation_study(Model& opt, removal_bench<Model, Judge>& bench, Candidates& candidates, const scoring_texts& texts,
                  const corpus& measured, isolation_settings how, study_progress report)
      : opt_{opt},
        bench_{bench},
        candidates_{candidates},
        texts_{texts},
        measured_{measured},
        how_{std::move(how)},
        report_{std::move(report)} {}

  [[nodiscard]] isolation_result run() {
    isolation_result result = begin();
    std::vector<std::size_t> kept_in_turn;
    for (std::size_t c = 0; c < texts_.categories.size(); ++c) {
      if (c == how_.kept || !how_.only_kept) kept_in_turn.push_back(c);
    }
    use(on_curves_);
    result.whole = measure_finally({});
    if (how_.search) measure_own(result);
    candidates_.prepare(kept_in_turn, report_);
    if (how_.search) plan(result, kept_in_turn.size());
    for (const std::size_t c : kept_in_turn) {
      if (how_.search) {
        follow_curves(result, c, kept_in_turn.size());
      } else {
        remove_share(result, c);
      }
    }
    if (how_.compare_sets) {
      result.overlaps = candidates_.compare(result.found().numbers, how_.kept, report_);
      if (how_.search) {
        removal_controls controls{opt_, bench_, candidates_, texts_, how_, report_};
        result.controls = controls.measure(result.found());
      }
    }
    finish(result);
    return result;
  }

 private:
  static constexpr std::size_t most_points = 20;
  static constexpr std::size_t least_prompts = 4;  // of a category, on a model that is slow

  using numbers = std::vector<std::size_t>;

  isolation_result begin() {
    std::tie(choosing_texts_, final_texts_) = parts_of(measured_);
    on_curves_ = draw(choosing_texts_, how_.held_out, how_.prompts, 1);
    choosing_ = on_curves_.prompts;
    finally_ = draw(final_texts_, 0, 3 * how_.prompts, 2);
    const measured_texts all = draw(measured_, how_.held_out_finally, 0, 0);
    finally_.held_out = all.held_out;
    finally_.text_of = all.text_of;
    const unit_ordering& ordering = candidates_.ordering();
    isolation_result result{.categories = texts_.categories,
                            .kept = how_.kept,
                            .layers = opt_.layers(),
                            .terms = Candidates::terms,
                            .units = ordering.units(),
                            .kinds = ordering.kinds(),
                            .units_in_all = ordering.count(),
                            .draws = how_.draws,
                            .curve_prompts = how_.prompts,
                            .curve_points = most_points};
    result.of.resize(texts_.categories.size());
    return result;
  }

  [[nodiscard]] measured_texts draw(const corpus& from, std::size_t held_out, std::size_t prompts,
                                    std::uint64_t seed) const {
    const std::size_t window = std::clamp<std::size_t>(held_out / 4, 32, 256);
    return draw_measured(from, {.held_out = held_out,
                                .window = std::min(window, opt_.shape().max_positions),
                                .prompts = prompts,
                                .prompt_tokens = how_.prompt_tokens,
                                .seed = how_.seed + seed});
  }
  void use(const measured_texts& what) {
    bench_.what.held_out = what.held_out;
    bench_.what.text_of = what.text_of;
    bench_.what.prompts = what.prompts;
  }
  /// How often the whole model continues each category's own prompts as such, on the texts by which removals are chosen
  /// and measured as those are.
  void measure_own(isolation_result& result) {
    const corpus prompts = draw(choosing_texts_, 0, 3 * how_.prompts, 4).prompts;
    bench_.what.sure = how_.sure_on_curves;
    const behaviour whole = bench_.measure_prompts({}, prompts);
    bench_.what.sure = 1;
    for (std::size_t c = 0; c < result.of.size(); ++c) result.of[c].own = whole.own(c);
  }
  [[nodiscard]] static bool enough(double turned, const isolated_category& of) {
    return turned >= detail::enough_of_own * of.own.share();
  }
  behaviour measure_finally(const removal& what) {
    const measured_texts before{
        .held_out = bench_.what.held_out, .prompts = bench_.what.prompts, .text_of = bench_.what.text_of};
    use(finally_);
    behaviour found = bench_.measure(what);
    use(before);
    return found;
  }

  /// The seconds that the whole model takes, on the texts and prompts of curves.
  double measure_whole(isolation_result& result) {
    const auto begin = std::chrono::steady_clock::now();
    result.whole_on_curves = bench_.measure({});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }

  /// Removals that one point of all curves takes.
  [[nodiscard]] std::size_t removals_per_point(std::size_t turns) const {
    return 2 * turns + (candidates_.depends_on_kept() ? turns : 1) * how_.draws;
  }

  /// Measures the whole model on what curves are measured on: as much of it, and as many points of a curve, as the
  /// minutes allow.
  void plan(isolation_result& result, std::size_t turns) {
    // A removal takes a good third of the whole model's time: what is removed costs nothing, continuations end early,
    // and removals are measured side by side.
    constexpr double part_of_whole = 0.4;
    const auto per_point = static_cast<double>(removals_per_point(turns));
    const std::size_t controls = 2 * candidates_.ordering().layers().size() + 12;
    double seconds = part_of_whole * measure_whole(result);
    // The choice of sizes and the final measurements take as long whatever the curves are measured on.
    const double left = 60 * how_.minutes - seconds * static_cast<double>(10 * turns);
    const auto affordable = [&] { return (left / seconds - static_cast<double>(controls)) / per_point; };
    double points = affordable();
    while (!how_.points && points < most_points && result.curve_prompts > least_prompts) {
      const auto fewer =
          static_cast<double>(result.curve_prompts) * std::max(points, 0.0) / static_cast<double>(most_points);
      result.curve_prompts = std::clamp(static_cast<std::size_t>(fewer), least_prompts, result.curve_prompts - 1);
      use(draw(choosing_texts_, how_.held_out * result.curve_prompts / how_.prompts, result.curve_prompts, 1));
      seconds = part_of_whole * measure_whole(result);
      points = affordable();
    }
    result.fewer_prompts = result.curve_prompts < how_.prompts;
    result.curve_points = how_.points.value_or(static_cast<std::size_t>(std::clamp(points, 4.0, double{most_points})));
    result.fewer_points = !how_.points && result.curve_points < most_points;
    removals_ = removals_per_point(turns) * result.curve_points;
  }

  void follow_curves(isolation_result& result, std::size_t kept, std::size_t turns) {
    isolated_category& found = result.of[kept];
    bench_.what.sure = how_.sure_on_curves;
    found.by_score = follow(result, kept, removal_order::by_score);
    const bool same_for_all = !candidates_.depends_on_kept() && turns > 1 && kept > 0;
    found.random = same_for_all ? result.of[0].random : follow(result, kept, removal_order::random);
    found.reversed = follow(result, kept, removal_order::reversed);
    choose(found, kept);
    bench_.what.sure = 1;
    found.final = measure_finally(found.what);
  }

  removal_curve follow(const isolation_result& result, std::size_t kept, removal_order by) {
    removal_curve curve;
    const bool random = by == removal_order::random;
    const std::size_t points = result.curve_points, draws = random ? how_.draws : 1;
    std::vector<removal> what;
    for (std::size_t i = 1; i <= points; ++i) {
      curve.share.push_back(Candidates::most_on_curves * static_cast<double>(i) / static_cast<double>(points));
      const std::size_t count = detail::count_of(curve.share.back(), result.units_in_all);
      for (std::size_t draw = 0; draw < draws; ++draw) {  // drawn anew for each point
        what.push_back(removal_of_first(candidates_.order(kept, by, how_.seed + i + draw * points), count, kept));
      }
    }
    const std::vector<behaviour> found =
        bench_.measure_all(what, random ? std::nullopt : std::optional{kept}, [&] { count_removal(); });
    for (std::size_t first = 0; first < found.size(); first += draws) {
      curve.behaviours.push_back(pooled(std::span{found}.subspan(first, draws)));
    }
    return curve;
  }
  void count_removal() {
    ++removals_done_;
    if (report_) report_("removals", static_cast<double>(removals_done_), static_cast<double>(removals_));
  }

  [[nodiscard]] removal removal_of_first(numbers order, std::size_t count, std::size_t kept) const {
    return candidates_.removal_of(candidates_.ordering().first(std::move(order), count), kept);
  }
  void remove_first(isolated_category& found, std::size_t kept, numbers order, std::size_t count) const {
    found.numbers = candidates_.ordering().first(std::move(order), count);
    found.removed = found.numbers.size();
    found.what = candidates_.removal_of(found.numbers, kept);
  }

  /// The smallest removal that turns other prompts 95 % as often as the whole model continues the category's own,
  /// between two points of the curve by bisection; if none does, the one that turns most. Scores may have a size of
  /// their own instead.
  void choose(isolated_category& found, std::size_t kept) {
    numbers order = candidates_.order(kept, removal_order::by_score, 0);
    if (const std::optional<std::size_t> own = candidates_.own_count(kept, order)) {
      remove_first(found, kept, std::move(order), *own);
      found.reached = enough(turned(found.what, kept), found);
      return;
    }
    const auto size = [&](double share) { return std::min(order.size(), detail::count_of(share, order.size())); };
    const removal_curve& curve = found.by_score;
    std::size_t best = 0, low = 0;
    for (std::size_t i = 0; i < curve.share.size(); ++i) {
      const double share = curve.behaviours[i].turned(kept).share();
      if (share > curve.behaviours[best].turned(kept).share()) best = i;
      if (!enough(share, found)) continue;
      found.reached = true;
      best = i;
      low = i == 0 ? 0 : size(curve.share[i - 1]);
      break;
    }
    std::size_t high = size(curve.share[best]);
    for (int step = 0; found.reached && step < 4 && high - low > 1; ++step) {
      const std::size_t middle = (low + high) / 2;
      (enough(turned(removal_of_first(order, middle, kept), kept), found) ? high : low) = middle;
    }
    remove_first(found, kept, std::move(order), high);
  }
  [[nodiscard]] double turned(const removal& what, std::size_t kept) {
    return bench_.measure_prompts(what, choosing_).turned(kept).share();
  }

  /// The share that was asked for, or the size that the scores have.
  void remove_share(isolation_result& result, std::size_t kept) {
    isolated_category& found = result.of[kept];
    numbers order = candidates_.order(kept, removal_order::by_score, 0);
    const std::size_t count =
        how_.share ? detail::count_of(*how_.share, order.size()) : candidates_.own_count(kept, order).value_or(0);
    remove_first(found, kept, std::move(order), count);
    found.final = measure_finally(found.what);
    found.reached = found.final.turned(kept).share() >= detail::enough_of_own * result.whole.own(kept).share();
  }

  /// The parts of the result that say what was removed and written.
  void finish(isolation_result& result) const {
    const isolated_category& found = result.found();
    const std::vector<double> score = candidates_.scores(how_.kept);
    numbers gone = found.numbers;
    std::ranges::sort(gone);
    for (const std::size_t u : candidates_.order(how_.kept, removal_order::by_score, 0)) {
      result.scores.push_back(
          {.what = result.units[u], .score = score[u], .removed = std::binary_search(gone.begin(), gone.end(), u)});
    }
    const std::size_t categories = texts_.categories.size();
    for (std::size_t i = 0; i < finally_.prompts.tokens.size(); ++i) {
      result.continuations.push_back({.category = finally_.prompts.category_of[i],
                                      .prompt = bench_.what.decode(finally_.prompts.tokens[i]),
                                      .before = result.whole.written[i],
                                      .after = found.final.written[i],
                                      .after_is = found.final.written_is[i]});
    }
    for (std::size_t c = 0; c < categories; ++c) {
      const std::vector<token_list> pieces = pieces_of(c);
      result.held_out.push_back(judged(pieces));
      std::vector<token_list> shuffled = pieces;
      std::mt19937_64 bits{how_.seed + c};
      for (token_list& each : shuffled) {
        for (std::size_t i = each.size(); i > 1; --i) std::swap(each[i - 1], each[bits() % i]);
      }
      result.shuffled.push_back(judged(shuffled));
    }
  }

  /// Held-out texts of a category in pieces as long as continuations.
  [[nodiscard]] std::vector<token_list> pieces_of(std::size_t category) const {
    constexpr std::size_t most = 200;
    const auto length = static_cast<std::ptrdiff_t>(bench_.what.wanted.new_tokens);
    std::vector<token_list> pieces;
    for (const token_list& text : measured_.tokens_in(category)) {
      for (auto at = text.begin() + 1; text.end() - at >= length && pieces.size() < most; at += length) {
        pieces.emplace_back(at, at + length);
      }
    }
    return pieces;
  }
  [[nodiscard]] judged_pieces judged(const std::vector<token_list>& pieces) const {
    judged_pieces result{.pieces = pieces.size(), .judged = std::vector<std::size_t>(texts_.categories.size() + 1)};
    for (const token_list& each : pieces) {
      ++result.judged[bench_.class_of(each)];
      result.loops += is_loop(each);
      if (bench_.what.check) result.passing += !is_loop(each) && bench_.what.check(bench_.what.decode(each));
    }
    return result;
  }

  Model& opt_;
  removal_bench<Model, Judge>& bench_;
  Candidates& candidates_;
  const scoring_texts& texts_;
  const corpus& measured_;
  isolation_settings how_;
  study_progress report_;
  corpus choosing_texts_, final_texts_;  // prompts of curves and of the end
  measured_texts on_curves_, finally_;
  corpus choosing_;  // the prompts by which the smallest removal is chosen
  std::size_t removals_ = 0, removals_done_ = 0;
};

}  // namespace optscope
