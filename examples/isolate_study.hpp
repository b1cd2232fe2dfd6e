// SPDX-License-Identifier: MIT
#pragma once
// What `isolate` computes: curves, the smallest removal, where its effect sits.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <map>
#include <optscope/modularity/activity.hpp>
#include <optscope/modularity/attribute.hpp>
#include <optscope/modularity/learned_mask.hpp>
#include <optscope/modularity/removal_edits.hpp>
#include <optscope/modularity/removal_scores.hpp>
#include <optscope/modularity/verdict.hpp>
#include <string>
#include <utility>

#include "isolate_texts.hpp"

namespace isolate {

using score_function = std::vector<double> (*)(const scored_texts&, std::size_t);
template <class Score>
std::vector<double> score_with(const scored_texts& texts, std::size_t kept) {
  return Score{}(texts, kept);
}
/// A score of one's own needs one line here.
inline const std::map<std::string, score_function> scores{
    {"ratio-frequency", score_with<activation_ratio<unit_statistic::frequency>>},
    {"ratio-mean-abs", score_with<activation_ratio<unit_statistic::mean_abs>>},
    {"ratio-rms", score_with<activation_ratio<unit_statistic::rms>>},
    {"largest-ratio", score_with<largest_ratio<unit_statistic::rms>>},
    {"difference", score_with<mean_difference>},
    {"attribution", score_with<attribution_ratio>},
    {"ratio-attribution", score_with<ratio_and_attribution>},
    {"ablation", score_with<ablation_effect>},
    {"mask", score_with<learned_mask>}};
inline bool needs_gradients(const std::string& score) { return score.ends_with("attribution"); }
/// Takes every unit out in turn. Refuses what would take longer than `how.hours`.
inline ablation_effects ablate_all(pruned_model& opt, const halves& texts, const tokenizer& words,
                                   const settings& how) {
  program::progress line{"ablation"};
  const auto begin = std::chrono::steady_clock::now();
  return ablate(opt, texts.scored(), words.bos(), how.ablation_tokens, [&](double done, double all) {
    const double hours =
        std::chrono::duration<double, std::ratio<3600>>(std::chrono::steady_clock::now() - begin).count();
    const double in_all = hours * all / done;
    char text[80];
    std::snprintf(text, sizeof text, "%.1f %%, %.1f of about %.1f minutes", 100 * done / all, 60 * hours, 60 * in_all);
    line.show([&] { return text; });
    if (hours * 3600 < 5 || in_all < how.hours) return;
    std::snprintf(text, sizeof text, "about %.2g for the %zu units", in_all,
                  opt.layers() * (opt.shape().ffn + opt.shape().heads));
    char most[40];
    std::snprintf(most, sizeof most, "at most %.2g hours of work", how.hours);
    throw bad_input{"", "--by ablation", std::string{most} + " (--hours, --ablation-tokens)", text};
  });
}
/// Scores of neurons and of heads can be compared.
inline bool comparable(const std::string& score) { return score == "mask"; }

inline const std::map<std::string, replacement> replacements{
    {"zero", replacement::zero}, {"kept-mean", replacement::kept_mean}, {"mean", replacement::mean}};

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
struct study {
  const settings& how;
  const tokenizer& words;
  pruned_model& opt;
  const halves& texts;
  const activity& active;
  scored_texts scored;
  isolation<pruned_model>& bench;
  const measured_texts& finally;  // of which nothing is chosen
  std::vector<std::size_t> layers;
  std::vector<unit_kind> kinds;
  behaviour whole{}, whole_on_curves{};
  std::vector<isolated> kept_of{};  // [category]
  std::vector<row> rows{};
  std::vector<std::vector<double>> masks{};        // [category][unit]
  std::optional<double> over_halves{};             // overlap of the sets that two halves of the texts give
  std::optional<double> over_seeds{};              // and that two seeds of a mask give
  std::size_t shares = most_shares;                // points of a curve
  std::size_t curve_prompts = how.prompts;         // of a category, on curves
  labelled_texts choosing = bench.prompts;         // by which the smallest removal is chosen
  std::vector<std::vector<std::size_t>> orders{};  // [category]: of going, by score

  /// Orders neurons by their rank within their layers; those of one rank get their mean score.
  void interleave(std::vector<std::size_t>& neurons, std::vector<double>& score) const {
    std::vector<std::vector<std::size_t>> ranks;  // [rank][layer]
    std::vector<std::size_t> seen(opt.layers());
    for (const std::size_t u : neurons) {
      const std::size_t rank = seen[scored.sums.units()[u].layer]++;
      if (rank == ranks.size()) ranks.emplace_back();
      ranks[rank].push_back(u);
    }
    neurons.clear();
    for (const std::vector<std::size_t>& one : ranks) {
      double sum = 0;
      for (const std::size_t u : one) sum += score[u];
      for (const std::size_t u : one) score[u] = sum / static_cast<double>(one.size());
      neurons.insert(neurons.end(), one.begin(), one.end());
    }
  }
  /// The first `count` of an order, if `how.even` without the neurons that not all layers have there.
  void cut(std::vector<std::size_t>& numbers, std::size_t count) const {
    numbers.resize(std::min(count, numbers.size()));
    if (!how.even) return;
    const auto layer_of = [&](std::size_t u) { return scored.sums.units()[u].layer; };
    const auto neuron = [&](std::size_t u) { return scored.sums.units()[u].kind == unit_kind::neuron; };
    std::vector<std::size_t> there(opt.layers()), seen(opt.layers());
    for (const std::size_t u : numbers) there[layer_of(u)] += neuron(u);
    std::size_t all = numbers.size();
    for (const std::size_t layer : layers) all = std::min(all, there[layer]);
    std::erase_if(numbers, [&](std::size_t u) { return neuron(u) && seen[layer_of(u)]++ >= all; });
  }

  /// The units that may go, in the order of going; those that have `gone` are the first.
  std::vector<std::size_t> order(std::size_t kept, removal_order by, const scored_texts& from,
                                 const std::vector<std::size_t>& of_layers, std::uint64_t seed = 0,
                                 const std::vector<std::size_t>& gone = {}) const {
    std::vector<double> score = scores.at(how.by)(from, kept);
    for (const std::size_t u : gone) score[u] = std::numeric_limits<double>::infinity();
    std::vector<std::size_t> numbers;
    for (const unit_kind kind : kinds) {
      auto more = order_of_removal(score, scored.sums.units(), kind, of_layers, by, seed);
      if (how.even && kind == unit_kind::neuron) interleave(more, score);
      numbers.insert(numbers.end(), more.begin(), more.end());
    }
    if (kinds.size() > 1 && comparable(how.by) && by != removal_order::random) {
      std::stable_sort(numbers.begin(), numbers.end(), [&](std::size_t a, std::size_t b) {
        return by == removal_order::by_score ? score[a] > score[b] : score[a] < score[b];
      });
    } else if (kinds.size() > 1) {  // a third of the neurons' share of the heads: a head is much more than a neuron
      const std::size_t first = numbers.size() == 0 ? 0 : of_layers.size() * scored.sums.units().count(kinds[0]);
      std::vector<std::pair<double, std::size_t>> ranked;
      for (std::size_t i = 0; i < numbers.size(); ++i) {
        const double of = static_cast<double>(i < first ? first : numbers.size() - first);
        ranked.emplace_back((i < first ? 1.0 : 3.0) * static_cast<double>(i < first ? i : i - first) / of, numbers[i]);
      }
      std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
      for (std::size_t i = 0; i < numbers.size(); ++i) numbers[i] = ranked[i].second;
    }
    return numbers;
  }
  std::vector<std::size_t> order(std::size_t kept, removal_order by = removal_order::by_score,
                                 std::uint64_t seed = 0) const {
    return by == removal_order::by_score && !orders[kept].empty() ? orders[kept]
                                                                  : order(kept, by, scored, layers, seed);
  }
  /// The order by scores that are computed `how.rounds` times, each time of what the first to go leave: of the half of
  /// the texts from which `from` is, if not of all.
  std::vector<std::size_t> in_rounds(std::size_t kept, const scored_texts& from,
                                     std::optional<std::size_t> half = std::nullopt) const {
    std::vector<std::size_t> numbers = order(kept, removal_order::by_score, from, layers);
    opt.weights().remove({}, opt.backend().pool());
    for (std::size_t round = 1; round < how.rounds; ++round) {
      std::vector<std::size_t> gone = numbers;
      const double share = how.share.value_or(how.most) * static_cast<double>(round) / static_cast<double>(how.rounds);
      cut(gone, static_cast<std::size_t>(std::llround(share * static_cast<double>(numbers.size()))));
      removal_edits edits = edits_of(remove(gone, kept), opt.shape());
      const activity of_all = sum_up(opt, texts.scored(), words.bos(), edits);
      const activity& left = half ? of_all.halves[*half] : of_all;
      const scored_texts again{.sums = left.sums, .texts = left.groups, .heads = &left.heads};
      std::vector<std::size_t> next = order(kept, removal_order::by_score, again, layers, 0, gone);
      std::sort(gone.begin(), gone.end());
      const auto later = std::stable_partition(numbers.begin(), numbers.end(), [&](std::size_t u) {
        return std::binary_search(gone.begin(), gone.end(), u);
      });
      std::erase_if(next, [&](std::size_t u) { return std::binary_search(gone.begin(), gone.end(), u); });
      std::copy(next.begin(), next.end(), later);
    }
    return numbers;
  }
  /// What masks are learned from, as far as it is there: [source][category][text].
  std::vector<std::vector<std::vector<token_list>>> sources() const {
    std::vector<std::vector<std::vector<token_list>>> all{texts.scoring};
    if (!texts.written.empty()) all.push_back(texts.written);
    return all;
  }
  /// The score of every unit by a mask learned from `sources`.
  std::vector<double> mask(std::size_t kept, const std::vector<std::vector<std::vector<token_list>>>& sources,
                           const std::string& name, std::uint64_t seed = 0) {
    std::vector<std::size_t> all;
    for (const std::size_t layer : layers) {
      for (const unit_kind kind : kinds) {
        for (std::size_t i = 0; i < scored.sums.units().count(kind); ++i) {
          all.push_back(scored.sums.units().first(kind, layer) + i);
        }
      }
    }
    mask_settings settings = how.mask;
    settings.seed = seed;
    opt.weights().remove({}, opt.backend().pool());
    return learn_mask(opt, sources, kept, words.bos(), remove(all, kept), settings, program::progress{name});
  }
  removal remove(std::span<const std::size_t> numbers, std::size_t kept) const {
    return removal_of(numbers, scored, kept, replacements.at(how.with));
  }
  std::size_t units() const {
    std::size_t count = 0;
    for (const unit_kind kind : kinds) count += layers.size() * scored.sums.units().count(kind);
    return count;
  }

  curve follow(std::size_t kept, removal_order by, program::progress& line, std::size_t& done, std::size_t all) {
    curve result;
    const bool random = by == removal_order::random;
    const std::size_t count = units(), draws = random ? how.draws : 1;  // by chance: anew for each share
    std::vector<removal> what;
    for (std::size_t i = 1; i <= shares; ++i) {
      result.share.push_back(how.most * static_cast<double>(i) / static_cast<double>(shares));
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
  /// How many units of a mask's order may go: as many as cost the kept category's scoring texts `how.mask.cost`, nats a
  /// token. By bisection, which begins at the mask's own size, the units with a score above 0; at most a fiftieth more
  /// than that, since few texts are fitted by much less than others need.
  std::size_t size_of_mask(std::size_t kept, const std::vector<std::size_t>& numbers) const {
    constexpr std::size_t length = 256, most = 4096;
    token_batch batch;
    std::size_t tokens = 0;
    for (const token_list& text : texts.scoring[kept]) {
      for (window& w : windows_of(text, std::min(length, opt.shape().max_positions), words.bos())) {
        if (tokens >= most || w.tokens.size() < 2) continue;
        tokens += w.tokens.size();
        batch.push_back(std::move(w.tokens));
      }
    }
    const auto loss = [&](std::size_t count) {
      std::vector<std::size_t> some = numbers;
      cut(some, count);
      opt.weights().remove(remove(some, kept), opt.backend().pool());
      next_token_loss found{batch};
      opt.run(batch, found);
      return found.mean([](std::size_t) { return true; });
    };
    const double allowed = loss(0) + how.mask.cost;
    const std::vector<double>& score = masks[kept];
    std::size_t low = 0, high = numbers.size();
    const auto own =
        static_cast<std::size_t>(std::ranges::count_if(numbers, [&](std::size_t u) { return score[u] > 0; }));
    for (std::size_t middle = own; high - low > 1; middle = (low + high) / 2) {
      if (middle > low && middle < high) (loss(middle) > allowed ? high : low) = middle;
    }
    return std::min(low, own + own / 50);
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
    opt.run(batch, with);
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
        if (in_layer(scored.sums.units()[u].layer)) some.push_back(u);
      }
      return some;
    };
    wanted.emplace_back("nothing", std::vector<std::size_t>{});
    wanted.emplace_back("the removal", found.numbers);
    for (const std::size_t layer : layers) {
      std::vector<std::size_t> numbers = order(kept, removal_order::by_score, scored, {layer});
      numbers.resize(numbers.size() / 2);
      wanted.emplace_back("half of layer " + std::to_string(layer) + " alone", numbers);
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
    wanted.emplace_back("the other way: the fifth of highest activity in the kept category",
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

  /// How alike the removals are that two halves of the scoring texts give, and for a mask two seeds.
  void compare_sets(std::size_t kept) {
    opt.weights().remove({}, opt.backend().pool());
    const auto set_by = [&](const scored_texts& from, std::optional<std::size_t> half = std::nullopt) {
      std::vector<std::size_t> numbers = in_rounds(kept, from, half);
      cut(numbers, kept_of[kept].chosen);
      return numbers;
    };
    const auto set_by_mask = [&](const std::vector<std::vector<std::vector<token_list>>>& sources,
                                 const std::string& name, std::uint64_t seed) {
      std::vector<std::vector<double>> other(texts.categories.size());
      other[kept] = mask(kept, sources, name, seed);
      scored_texts from = scored;
      from.masks = &other;
      return set_by(from);
    };
    std::vector<std::vector<std::size_t>> sets;
    for (const std::size_t half : {0, 1}) {
      if (how.by == "mask") {
        const auto of = [&](const std::vector<std::vector<token_list>>& all) {
          std::vector<std::vector<token_list>> some(all.size());
          for (std::size_t c = 0; c < all.size(); ++c) {
            for (std::size_t i = half; i < all[c].size(); i += 2) some[c].push_back(all[c][i]);
            if (some[c].empty()) some[c] = all[c];  // a single text is in both halves
          }
          return some;
        };
        std::vector<std::vector<std::vector<token_list>>> halved;
        for (const auto& source : sources()) halved.push_back(of(source));
        sets.push_back(set_by_mask(halved, "mask of a half, " + std::to_string(half + 1), 0));
        continue;
      }
      if (scored.ablation != nullptr) {
        const ablation_effects part = scored.ablation->half(half);
        scored_texts from = scored;
        from.ablation = &part;
        sets.push_back(set_by(from));
        continue;
      }
      const activity& part = active.halves[half];
      std::optional<loss_attribution> loss;
      if (needs_gradients(how.by))
        loss = attribute(
            opt, texts.scored(), words.bos(), [](std::size_t, std::size_t) {}, half, 2);
      sets.push_back(set_by({part.sums, part.groups, loss ? &*loss : nullptr}, half));
    }
    over_halves = overlap(sets[0], sets[1]);
    if (how.by == "mask") {
      over_seeds = overlap(kept_of[kept].numbers, set_by_mask(sources(), "mask of another seed", 1));
    }
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
    compare_sets(kept);
    if (!how.curves()) return;
    program::progress places{"where it sits"};
    bench.sure = sure_on_curves;
    rows = locate(kept_of[kept], kept, places);
  }
};

}  // namespace isolate
