// SPDX-License-Identifier: MIT
#pragma once
// What `light_up` finds: where top neurons are high, what the texts do not allow to say, counts of findings.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optscope/units/selectivity.hpp>
#include <random>
#include <span>

#include "light_up_texts.hpp"

namespace light_up {

/// Tokens around a place, the one in question between brackets.
inline std::string context(const tokenizer& words, const token_list& tokens, std::size_t at) {
  const std::size_t first = at > 10 ? at - 10 : 0, last = std::min(tokens.size(), at + 5);
  const std::span<const token_id> all{tokens};
  std::string text = words.decode(all.subspan(first, at - first)) + "⟦" + words.piece(tokens[at]) + "⟧" +
                     words.decode(all.subspan(at + 1, last - at - 1));
  std::string shown;
  for (const char c : text) shown += c == '\n' ? std::string{"⏎"} : c == '\t' ? "→" : std::string{c};
  return shown;
}

/// Runs some texts of each category, drawn at random, and looks where the top neurons are high.
template <class Model>
void look(Model& opt, const tokenizer& words, const settings& how, findings& found) {
  const corpus& all = found.texts;
  const unit_effects& effects = found.effects.at(how.by);
  const std::vector<std::size_t> neurons = found.sums.units().all(unit_kind::neuron);
  std::vector<unit> chosen;
  for (std::size_t c = 0; c < all.categories.size(); ++c) {
    std::vector<double> g;
    for (const std::size_t u : neurons) g.push_back(effects.g(c, u));
    for (const std::size_t i : largest(g, how.top)) {
      if (!(g[i] > 0)) continue;
      chosen.push_back(found.sums.units()[neurons[i]]);
      found.neurons.push_back({chosen.back(), c, {}, {}});
    }
  }
  if (chosen.empty()) return;

  std::mt19937_64 bits{0};
  std::vector<std::size_t> order(all.texts.size()), size(all.categories.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[bits() % i]);
  recorded_tokens at;
  token_batch kept;                                         // the windows
  std::vector<std::pair<std::size_t, std::size_t>> places;  // [recorded token]: window, token in it
  std::vector<std::vector<float>> values(chosen.size());    // [neuron][recorded token]
  for (const std::size_t t : order) {
    const std::size_t c = all.category_of[t];
    if (size[c] >= how.look_tokens) continue;
    std::vector<window> windows = windows_of(all.read(t), opt.shape().max_positions, words.bos());
    const std::size_t fitting = std::max<std::size_t>(1, (how.look_tokens - size[c]) / opt.shape().max_positions);
    windows.resize(std::min(windows.size(), fitting));
    token_batch batch;
    for (const window& w : windows) batch.push_back(w.tokens);
    neuron_record record{chosen};
    opt.run(batch, record);
    for (std::size_t w = 0; w < windows.size(); ++w) {
      for (std::size_t i = windows[w].skip; i < windows[w].tokens.size(); ++i) {
        at.token.push_back(windows[w].tokens[i]);
        at.position.push_back(i);
        at.category.push_back(c);
        places.emplace_back(kept.size() + w, i);
        for (std::size_t n = 0; n < chosen.size(); ++n) {
          values[n].push_back(record.values()(n, record.first_of(w) + i));
        }
      }
      size[c] += windows[w].tokens.size() - windows[w].skip;
    }
    std::move(batch.begin(), batch.end(), std::back_inserter(kept));
  }
  for (std::size_t n = 0; n < chosen.size(); ++n) {
    auto& neuron = found.neurons[n];
    neuron.controls = controls_of(values[n], at, neuron.category);
    const auto show = [&](const char* which, std::size_t i) {
      const auto [w, token] = places[i];
      neuron.contexts.push_back({which, {values[n][i], context(words, kept[w], token)}});
    };
    for (const std::size_t i : extreme_places(values[n], at.token, 6)) show("highest", i);
    for (const std::size_t i : extreme_places(values[n], at.token, 3, extreme::lowest)) show("lowest", i);
    for (int i = 0; i < 3; ++i) show("random", bits() % at.size());
  }
}

/// What the texts do not allow to say.
inline void state_limits(findings& found) {
  const corpus& all = found.texts;
  const std::vector<std::size_t> sizes = all.texts_of_each();
  const auto [fewest, most] = std::minmax_element(sizes.begin(), sizes.end());
  for (std::size_t c = 0; c < all.categories.size(); ++c) {
    if (sizes[c] == 1) {
      found.limits.push_back("category " + all.categories[c] +
                             " has one text: how its texts differ among themselves is not known, its effects rest on "
                             "the other categories' spread");
    }
  }
  if (*most > 10 * *fewest) {
    found.limits.push_back("the categories have from " + std::to_string(*fewest) + " to " + std::to_string(*most) +
                           " texts: the small ones decide how sure a finding can be");
  }
  if (all.texts.size() == all.categories.size()) {
    found.limits.push_back("one text in every category: no effect size can be given (null)");
  }
  if (found.groups.texts_per_group() > 1) {
    found.limits.push_back("p is from groups of " + std::to_string(found.groups.texts_per_group()) +
                           " texts or more, of which the labels are exchanged; effect sizes are from single texts");
  }
  const unit_effects& effects = found.effects.begin()->second;
  for (std::size_t c = 0; c < all.categories.size(); ++c) {
    if (effects.labellings[c] < 200) {
      found.limits.push_back("only " + std::to_string(effects.labellings[c]) + " assignments of " + all.categories[c] +
                             "'s label: p cannot be below " +
                             std::to_string(1.0 / static_cast<double>(effects.labellings[c])));
    }
  }
  bool spread = false;
  for (std::size_t c = 0; c < all.categories.size(); ++c) {
    for (const double g : effects.g.row(c)) spread = spread || std::isfinite(g);
  }
  if (!spread && all.texts.size() > all.categories.size()) {
    found.limits.push_back(
        "no unit varies between the texts of a category (identical texts, or no activity): no effect "
        "size can be given (null)");
  }
}

inline constexpr double finding = 0.05;  // false discovery rate

struct activity {
  std::size_t dead = 0, always_on = 0;
};
/// Neurons of a layer that are never above zero, and those that nearly always are.
inline activity activity_of(const findings& found, std::size_t layer) {
  activity result;
  const std::size_t first = found.sums.units().first(unit_kind::neuron, layer);
  for (std::size_t i = 0; i < found.sums.units().count(unit_kind::neuron); ++i) {
    double lowest = 1, highest = 0;
    for (std::size_t c = 0; c < found.texts.categories.size(); ++c) {
      const double share = found.mean(c, unit_statistic::frequency, first + i);
      lowest = std::min(lowest, share);
      highest = std::max(highest, share);
    }
    result.dead += highest == 0;
    result.always_on += lowest >= 0.99;
  }
  return result;
}

/// The units of a kind with the largest effects in a category.
inline std::vector<std::size_t> top_units(const findings& found, const settings& how, unit_kind kind,
                                          std::size_t category, std::size_t count) {
  const std::vector<std::size_t> numbers = found.sums.units().all(kind);
  std::vector<double> size;
  for (const std::size_t u : numbers) size.push_back(std::abs(found.effects.at(how.by).g(category, u)));
  std::vector<std::size_t> best;
  for (const std::size_t i : largest(size, count)) {
    if (std::isfinite(size[i])) best.push_back(numbers[i]);
  }
  return best;
}

inline std::size_t count_findings(const findings& found, const unit_effects& effects, unit_kind kind,
                                  std::size_t category) {
  std::size_t count = 0;
  for (const std::size_t u : found.sums.units().all(kind)) count += effects.q(category, u) <= finding;
  return count;
}

}  // namespace light_up
