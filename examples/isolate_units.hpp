// SPDX-License-Identifier: MIT
#pragma once
// What `isolate` may take out, in which order it goes, and the removal of the first of it.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <map>
#include <optional>
#include <optscope/isolation/learned_mask.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/isolation/removal_scores.hpp>
#include <optscope/isolation/stream_directions.hpp>
#include <optscope/units/activity.hpp>
#include <optscope/units/attribute.hpp>
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

/// Overlaps of sets: that two halves of the texts give, and two seeds of a mask.
struct overlaps {
  std::optional<double> of_halves, of_seeds;
};

/// The neurons and heads, or the directions of the stream, that may go.
struct candidates {
  const settings& how;
  const tokenizer& words;
  pruned_model& opt;
  const halves& texts;
  const activity& active;
  scored_texts scored;
  std::vector<std::size_t> layers;
  std::vector<unit_kind> kinds;
  unit_table numbering{opt.shape(), how.directions() ? opt.shape().hidden : 0};
  std::vector<std::vector<double>> masks{};                 // [category][unit]
  std::vector<std::vector<layer_directions>> directions{};  // [category][layer]
  std::vector<stream_moments> moments{};                    // of two halves of the texts
  std::vector<std::vector<std::size_t>> orders{};           // [category]: of going, by score

  [[nodiscard]] std::vector<double> score_of(const scored_texts& from, std::size_t kept) const {
    if (!how.directions()) return scores.at(how.by)(from, kept);
    std::vector<double> ratio(numbering.size(), std::numeric_limits<double>::quiet_NaN());
    for (const std::size_t layer : layers) {
      const std::size_t first = numbering.first(unit_kind::direction, layer);
      std::ranges::copy(directions[kept][layer].ratio, ratio.begin() + static_cast<std::ptrdiff_t>(first));
    }
    return ratio;
  }
  /// Finds the directions of the stream, if those are to go, of all categories or of one alone.
  void find_directions(std::optional<std::size_t> alone) {
    if (!how.directions()) return;
    program::progress line{"directions"};
    for (stream_moments& half : stream_moments_of(opt, texts.scored(), words.bos())) moments.push_back(std::move(half));
    stream_moments whole = moments[0];
    whole.add(moments[1]);
    directions.resize(texts.categories.size());
    for (std::size_t c = 0; c < directions.size(); ++c) {
      if (!alone || c == *alone) directions[c] = directions_of(whole, c);
      line(c + 1, directions.size());
    }
  }

  /// Orders neurons by their rank within their layers; those of one rank get their mean score.
  void interleave(std::vector<std::size_t>& neurons, std::vector<double>& score) const {
    std::vector<std::vector<std::size_t>> ranks;  // [rank][layer]
    std::vector<std::size_t> seen(opt.layers());
    for (const std::size_t u : neurons) {
      const std::size_t rank = seen[numbering[u].layer]++;
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
    const auto layer_of = [&](std::size_t u) { return numbering[u].layer; };
    const auto neuron = [&](std::size_t u) { return numbering[u].kind == unit_kind::neuron; };
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
    std::vector<double> score = score_of(from, kept);
    for (const std::size_t u : gone) score[u] = std::numeric_limits<double>::infinity();
    std::vector<std::size_t> numbers;
    for (const unit_kind kind : kinds) {
      auto more = order_of_removal(score, numbering, kind, of_layers, by, seed);
      if (how.even && kind == unit_kind::neuron) interleave(more, score);
      numbers.insert(numbers.end(), more.begin(), more.end());
    }
    if (kinds.size() > 1 && comparable(how.by) && by != removal_order::random) {
      std::stable_sort(numbers.begin(), numbers.end(), [&](std::size_t a, std::size_t b) {
        return by == removal_order::by_score ? score[a] > score[b] : score[a] < score[b];
      });
    } else if (kinds.size() > 1) {  // a third of the neurons' share of the heads: a head is much more than a neuron
      const std::size_t first = numbers.size() == 0 ? 0 : of_layers.size() * numbering.count(kinds[0]);
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
      const double share =
          how.share.value_or(how.most()) * static_cast<double>(round) / static_cast<double>(how.rounds);
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
        for (std::size_t i = 0; i < numbering.count(kind); ++i) {
          all.push_back(numbering.first(kind, layer) + i);
        }
      }
    }
    mask_settings settings = how.mask;
    settings.seed = seed;
    opt.weights().remove({}, opt.backend().pool());
    return learn_mask(opt, sources, kept, words.bos(), remove(all, kept), settings, program::progress{name});
  }
  removal remove(std::span<const std::size_t> numbers, std::size_t kept) const {
    return how.directions() ? removal_of(numbers, numbering, directions[kept])
                            : removal_of(numbers, scored, kept, replacements.at(how.with));
  }
  std::size_t units() const {
    std::size_t count = 0;
    for (const unit_kind kind : kinds) count += layers.size() * numbering.count(kind);
    return count;
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

  /// How alike the removals of as many units as `found` are that two halves of the scoring texts give, and for a mask
  /// two seeds.
  overlaps compare(const std::vector<std::size_t>& found, std::size_t kept) {
    if (how.directions()) {
      const std::vector<layer_directions> whole = directions[kept];
      std::vector<removal> sets;
      for (const stream_moments& half : moments) {
        for (std::size_t c = 0; c < texts.categories.size(); ++c) {
          if (half.tokens(c) < 2) return {};  // of which nothing varies
        }
        directions[kept] = directions_of(half, kept);
        std::vector<std::size_t> numbers = order(kept);
        numbers.resize(found.size());
        sets.push_back(remove(numbers, kept));
      }
      directions[kept] = whole;
      return {overlap(sets[0], sets[1], whole), std::nullopt};
    }
    opt.weights().remove({}, opt.backend().pool());
    const auto set_by = [&](const scored_texts& from, std::optional<std::size_t> half = std::nullopt) {
      std::vector<std::size_t> numbers = in_rounds(kept, from, half);
      cut(numbers, found.size());
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
            opt, texts.scored(), words.bos(), [](std::size_t, std::size_t) {},
            attributed_part{.first = half, .step = 2});
      sets.push_back(set_by({part.sums, part.groups, loss ? &*loss : nullptr}, half));
    }
    overlaps result{overlap(sets[0], sets[1]), std::nullopt};
    if (how.by == "mask") result.of_seeds = overlap(found, set_by_mask(sources(), "mask of another seed", 1));
    return result;
  }
};

}  // namespace isolate
