// SPDX-License-Identifier: MIT
#pragma once
// What `isolate` computes: curves, the smallest removal, where its effect sits.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/isolation/verdict.hpp>
#include <string>
#include <utility>

#include "isolate_units.hpp"

namespace isolate {

struct curve {
  std::vector<double> share;          // of the units
  std::vector<behaviour> behaviours;  // without what was written
};

/// On curves and in "where it sits" a continuation ends when the judge gives a category this probability.
inline constexpr double sure_on_curves = 0.85;

/// Everything that is found for one kept category.
struct isolated {
  curve by_score, random, reversed;
  std::size_t chosen = 0;  // units
  bool reached = false;    // 95 % of the foreign prompts on the curve
  std::vector<std::size_t> numbers;
  removal what;
  behaviour final;  // on other prompts

  [[nodiscard]] bool measured() const { return !final.judged.empty(); }
};

inline constexpr double missing = std::numeric_limits<double>::quiet_NaN();
inline std::string rounded(double value, int digits = 3) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.*f", digits, value) > 0 ? buffer : "–";
}
inline std::string percent(double share) { return rounded(100 * share, 0) + " %"; }
inline std::string percent_of(std::size_t hits, std::size_t count) {
  const auto [low, high] = wilson(hits, count);
  return percent(count == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(count)) + " (" +
         rounded(100 * low, 0) + "–" + rounded(100 * high, 0) + ")";
}

inline constexpr std::size_t most_shares = 20;   // on a model that is slow fewer,
inline constexpr std::size_t least_prompts = 4;  // and fewer prompts of a category

/// One run of the program.
struct study : candidates {
  isolation<pruned_model>& bench;
  const measured_texts& finally;  // of which nothing is chosen
  behaviour whole{}, whole_on_curves{};
  std::vector<isolated> kept_of{};  // [category]
  std::vector<row> rows{};
  overlaps alike{};
  std::size_t shares = most_shares;         // points of a curve
  std::size_t curve_prompts = how.prompts;  // of a category, on curves
  labelled_texts choosing = bench.prompts;  // by which the smallest removal is chosen

  curve follow(std::size_t kept, removal_order by, program::progress& line, std::size_t& done, std::size_t all) {
    curve result;
    const bool random = by == removal_order::random;
    const std::size_t count = units(), draws = random ? how.draws : 1;  // by chance: anew for each share
    std::vector<removal> what;
    for (std::size_t i = 1; i <= shares; ++i) {
      result.share.push_back(how.most() * static_cast<double>(i) / static_cast<double>(shares));
      const auto n = static_cast<std::size_t>(std::llround(result.share.back() * static_cast<double>(count)));
      for (std::size_t draw = 0; draw < draws; ++draw) {
        std::vector<std::size_t> numbers = order(kept, by, i + draw * shares);
        cut(numbers, n);
        what.push_back(remove(numbers, kept));
      }
    }
    const std::vector<behaviour> found =
        bench.measure_all(what, random ? bench.none : kept, [&] { line(++done, all); });
    for (auto first = found.begin(); first != found.end(); first += static_cast<std::ptrdiff_t>(draws)) {
      result.behaviours.push_back(pooled({first, first + static_cast<std::ptrdiff_t>(draws)}));
    }
    return result;
  }

  /// The smallest removal that turns 95 % of the foreign prompts, between two points of the curve by bisection; where
  /// none does, the one that turns most. A mask has a size of its own.
  void choose(isolated& found, std::size_t kept) {
    if (how.by == "mask") {
      take(found, kept, std::nullopt);
      found.reached = bench.measure_prompts(found.what, choosing).turned_share(kept) >= 0.95;
      return;
    }
    const std::vector<std::size_t> numbers = order(kept);
    const auto size = [&](double share) {
      return std::min(numbers.size(),
                      static_cast<std::size_t>(std::llround(share * static_cast<double>(numbers.size()))));
    };
    std::size_t best = 0, low = 0;
    for (std::size_t i = 0; i < found.by_score.share.size(); ++i) {
      const double turned = found.by_score.behaviours[i].turned_share(kept);
      if (turned > found.by_score.behaviours[best].turned_share(kept)) best = i;
      if (turned < 0.95) continue;
      found.reached = true;
      best = i;
      low = i == 0 ? 0 : size(found.by_score.share[i - 1]);
      break;
    }
    std::size_t high = size(found.by_score.share[best]);
    for (int step = 0; found.reached && step < 4 && high - low > 1; ++step) {
      const std::size_t middle = (low + high) / 2;
      std::vector<std::size_t> some = numbers;
      cut(some, middle);
      const behaviour there = bench.measure_prompts(remove(some, kept), choosing);
      (there.turned_share(kept) >= 0.95 ? high : low) = middle;
    }
    take(found, kept, static_cast<double>(high) / static_cast<double>(numbers.size()));
  }
  void take(isolated& found, std::size_t kept, std::optional<double> share) const {
    found.numbers = order(kept);
    cut(found.numbers, share
                           ? static_cast<std::size_t>(std::llround(*share * static_cast<double>(found.numbers.size())))
                           : size_of_mask(kept, found.numbers));
    found.chosen = found.numbers.size();
    found.what = remove(found.numbers, kept);
  }
  /// Mean logits over scoring texts of the other categories with the removal minus without: (vocabulary).
  std::vector<float> shift_of(const removal& what, std::size_t kept) {
    struct mean_logits {
      using sites = site_list<site::logits>;
      std::vector<double> sum;
      double count = 0;
      void operator()(site::logits, const place&, tensor_view<const float, 2> logits) {
        sum.resize(logits.cols());
        for (std::size_t i = 0; i < logits.rows(); ++i) {
          for (std::size_t id = 0; id < sum.size(); ++id) sum[id] += static_cast<double>(logits(i, id));
        }
        count += static_cast<double>(logits.rows());
      }
    };
    token_batch batch;
    for (std::size_t c = 0; c < texts.categories.size(); ++c) {
      if (c == kept) continue;
      token_list first = texts.scoring[c][0];
      first.resize(std::min<std::size_t>(first.size(), 256));
      batch.push_back(std::move(first));
    }
    mean_logits with, without;
    opt.weights().remove({}, opt.backend().pool());
    opt.run(batch, without);
    opt.weights().remove(what, opt.backend().pool());
    direction_edits edits = direction_edits_of(what);
    opt.run(batch, edits, with);
    std::vector<float> shift;
    for (std::size_t id = 0; id < with.sum.size(); ++id) {
      shift.push_back(static_cast<float>(with.sum[id] / with.count - without.sum[id] / without.count));
    }
    return shift;
  }

  /// Where the effect of a removal sits.
  std::vector<row> locate(const isolated& found, std::size_t kept, program::progress& line) {
    std::vector<std::pair<std::string, std::vector<std::size_t>>> wanted;
    const auto where = [&](auto in_layer) {
      std::vector<std::size_t> some;
      for (const std::size_t u : found.numbers) {
        if (in_layer(numbering[u].layer)) some.push_back(u);
      }
      return some;
    };
    wanted.emplace_back("nothing", std::vector<std::size_t>{});
    wanted.emplace_back("the removal", found.numbers);
    for (const std::size_t layer : layers) {
      std::vector<std::size_t> numbers = order(kept, removal_order::by_score, scored, {layer});
      numbers.resize(numbers.size() / (how.directions() ? 10 : 2));
      wanted.emplace_back(
          (how.directions() ? "a tenth of layer " : "half of layer ") + std::to_string(layer) + " alone", numbers);
    }
    for (const std::size_t layer : layers) {
      wanted.emplace_back("the removal without layer " + std::to_string(layer),
                          where([&](std::size_t l) { return l != layer; }));
    }
    wanted.emplace_back("its part in the first half of the layers",
                        where([&](std::size_t l) { return l < opt.layers() / 2; }));
    wanted.emplace_back("its part in the second half of the layers",
                        where([&](std::size_t l) { return l >= opt.layers() / 2; }));
    const std::size_t by_chance = wanted.size();
    for (std::size_t draw = 0; draw < how.draws; ++draw) {
      wanted.emplace_back("as many, by chance", order(kept, removal_order::random, 77 + draw));
      cut(wanted.back().second, found.chosen);
    }
    wanted.emplace_back("as many, by the reversed score", order(kept, removal_order::reversed));
    cut(wanted.back().second, found.chosen);
    wanted.emplace_back(how.directions() ? "the other way: the fifth of the kept category's own spread"
                                         : "the other way: the fifth of highest activity in the kept category",
                        order(kept, removal_order::reversed));
    cut(wanted.back().second, wanted.back().second.size() / 5);

    std::vector<removal> what;
    for (const auto& [name, numbers] : wanted) what.push_back(remove(numbers, kept));
    std::size_t done = 0;
    std::vector<behaviour> measured = bench.measure_all(what, bench.none, [&] { line(++done, wanted.size() + 4); });
    std::vector<row> found_rows;
    for (std::size_t i = 0; i < wanted.size();) {
      const std::size_t count = i == by_chance ? how.draws : 1;
      const auto first = measured.begin() + static_cast<std::ptrdiff_t>(i);
      found_rows.push_back(
          {wanted[i].first, wanted[i].second.size(), pooled({first, first + static_cast<std::ptrdiff_t>(count)})});
      i += count;
    }
    const std::vector<float> shift = shift_of(found.what, kept);
    for (const float times : {1.0f, 2.0f}) {
      logit_shift scaled{shift};
      for (float& each : scaled.by) each *= times;
      behaviour b = bench.measure_edited(scaled);
      b.written.clear();
      found_rows.push_back(
          {"nothing, the change of the mean logits added by hand, times " + rounded(times, 0), 0, std::move(b)});
      line(++done, wanted.size() + 4);
    }
    labelled_texts alone;
    const token_id bos = words.bos().value_or(texts.scoring[0][0][0]);
    for (std::size_t i = 0; i < 2 * curve_prompts; ++i) alone.add({bos}, kept == 0 ? 1 : 0);
    for (const bool removed : {false, true}) {
      behaviour b = bench.measure_prompts(removed ? found.what : removal{}, alone);
      b.written.clear();
      found_rows.push_back({removed ? "the removal, BOS alone as prompt" : "nothing, BOS alone as prompt",
                            removed ? found.chosen : 0, std::move(b)});
      line(++done, wanted.size() + 4);
    }
    return found_rows;
  }

  behaviour measure_finally(const removal& what) {
    labelled_texts held_back = std::exchange(bench.held_back, finally.held_back);
    labelled_texts prompts = std::exchange(bench.prompts, finally.prompts);
    behaviour found = bench.measure(what);
    bench.held_back = std::move(held_back);
    bench.prompts = std::move(prompts);
    return found;
  }

  /// The seconds that the whole model takes, on the texts and prompts of curves.
  double measure_whole() {
    const auto begin = std::chrono::steady_clock::now();
    whole_on_curves = bench.measure({});
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  /// Measures the whole model on what curves are measured on: as much of it, and as many points of a curve, as
  /// `how.minutes` allow. A point is `per_share` removals.
  void plan(std::size_t per_share, std::size_t turns) {
    // A removal takes a good third of the whole model's time: what is gone costs nothing, continuations end early, and
    // they are measured side by side.
    double seconds = 0.4 * measure_whole();
    // The choice of sizes and the final measurements are of as much whatever the curves are of.
    const double left = 60 * how.minutes - seconds * static_cast<double>(10 * turns);
    double points = static_cast<double>(most_shares);
    for (;; seconds = 0.4 * measure_whole()) {
      points = (left / seconds - static_cast<double>(2 * layers.size() + 12)) / static_cast<double>(per_share);
      if (how.shares || points >= most_shares || curve_prompts <= least_prompts) break;
      const auto fewer = static_cast<double>(curve_prompts) * std::max(points, 0.0) / static_cast<double>(most_shares);
      curve_prompts = std::clamp(static_cast<std::size_t>(fewer), least_prompts, curve_prompts - 1);
      measured_texts less = draw_measured(texts, words, how, opt.shape().max_positions,
                                          how.held_back * curve_prompts / how.prompts, curve_prompts, 1);
      bench.held_back = std::move(less.held_back);
      bench.prompts = std::move(less.prompts);
    }
    shares = how.shares.value_or(static_cast<std::size_t>(std::clamp(points, 4.0, double{most_shares})));
  }
  /// What the texts and the time did not allow.
  std::vector<std::string> limits() const {
    std::vector<std::string> all = texts.limits;
    const std::string why = ": all removals were to take " + rounded(how.minutes, how.minutes < 1 ? 3 : 0) +
                            " minutes (--minutes, --shares)";
    if (curve_prompts < how.prompts) {
      all.push_back("curves are of " + std::to_string(curve_prompts) + " prompts of a category instead of " +
                    std::to_string(how.prompts) + why);
    }
    if (how.curves() && !how.shares && shares < most_shares) {
      all.push_back("curves have " + std::to_string(shares) + " points instead of " + std::to_string(most_shares) +
                    why);
    }
    return all;
  }

  void run(std::size_t kept) {
    const std::size_t categories = texts.categories.size();
    whole = measure_finally({});
    find_directions(how.alone ? std::optional{kept} : std::nullopt);
    kept_of.resize(categories);
    scored.masks = &masks;
    masks.resize(categories);
    for (std::size_t c = 0; how.by == "mask" && c < categories; ++c) {
      if (c == kept || !how.alone) masks[c] = mask(c, sources(), "mask, " + texts.categories[c]);
    }
    orders.resize(categories);
    program::progress scoring{"scores, rounds"};
    for (std::size_t c = 0; how.rounds > 1 && c < categories; ++c) {
      if (c == kept || !how.alone) orders[c] = in_rounds(c, scored);
      scoring(c + 1, categories);
    }
    program::progress line{"removals"};
    std::size_t done = 0;
    const bool one_for_all = how.with != "kept-mean";  // by chance is then the same whatever is kept
    const std::size_t turns = how.alone ? 1 : categories;
    const std::size_t per_share = 2 * turns + (one_for_all ? 1 : turns) * how.draws;
    if (how.curves()) plan(per_share, turns);
    const std::size_t all = per_share * shares;
    for (std::size_t c = 0; c < categories; ++c) {
      isolated& found = kept_of[c];
      if (how.alone && c != kept) continue;
      if (!how.curves()) {
        take(found, c, how.share);
        found.final = measure_finally(found.what);
        found.reached = found.final.turned_share(c) >= 0.95;
        continue;
      }
      bench.sure = sure_on_curves;
      found.by_score = follow(c, removal_order::by_score, line, done, all);
      found.random =
          one_for_all && c > 0 && !how.alone ? kept_of[0].random : follow(c, removal_order::random, line, done, all);
      found.reversed = follow(c, removal_order::reversed, line, done, all);
      choose(found, c);
      bench.sure = 1;
      found.final = measure_finally(found.what);
    }
    if (how.no_curves) return;
    alike = compare(kept_of[kept].numbers, kept);
    if (!how.curves()) return;
    program::progress places{"where it sits"};
    bench.sure = sure_on_curves;
    rows = locate(kept_of[kept], kept, places);
  }
};

}  // namespace isolate
