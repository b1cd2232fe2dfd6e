// SPDX-License-Identifier: MIT
#pragma once
// The report of `light_up`.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/ranked.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/units/unit_findings.hpp>
#include <string>
#include <utility>
#include <vector>

namespace light_up {

using namespace optscope;

/// Effect sizes of a kind, of each category: (layer, unit).
inline std::vector<tensor<float, 2>> effects_of(const unit_findings& found, unit_kind kind) {
  const unit_table& units = found.sums.units();
  std::vector<tensor<float, 2>> maps;
  for (std::size_t c = 0; c < found.categories.size(); ++c) {
    tensor<float, 2>& map = maps.emplace_back(std::array{units.layers(), units.count(kind)});
    for (std::size_t layer = 0; layer < units.layers(); ++layer) {
      for (std::size_t i = 0; i < units.count(kind); ++i) {
        map(layer, i) = static_cast<float>(found.chosen_effects().g(c, units.first(kind, layer) + i));
      }
    }
  }
  return maps;
}

/// A map of the heads for each category.
inline plot::picture map_of_heads(const unit_findings& found) {
  const std::vector<tensor<float, 2>> effects = effects_of(found, unit_kind::head);
  tensor<float, 3> maps{{effects.size(), effects[0].rows(), effects[0].extent(1)}};
  for (std::size_t c = 0; c < effects.size(); ++c) {
    std::copy_n(effects[c].data(), effects[c].size(), maps.row(c).data());
  }
  return plot::heatmap(maps.view(), {.title = "Heads: layer (down), index (across)",
                                     .value_label = "effect size g of " + std::string{name_of(found.by)},
                                     .panel_titles = found.categories,
                                     .diverging = true});
}

/// The neurons of each category, sorted by effect, with the token at which each is highest.
inline plot::ranked_units map_of_neurons(const unit_findings& found, const tokenizer& words) {
  const unit_effects& effects = found.chosen_effects();
  plot::ranked_units map{.unit = "neuron", .value_label = "effect size g", .note_label = "highest at"};
  std::vector<tensor<float, 2>> values = effects_of(found, unit_kind::neuron);
  const std::vector<std::size_t> neurons = found.sums.units().all(unit_kind::neuron);
  for (std::size_t c = 0; c < values.size(); ++c) {
    plot::ranked_panel& panel = map.panels.emplace_back();
    panel.title = found.categories[c];
    panel.values = std::move(values[c]);
    for (const std::size_t u : neurons) {
      panel.marked.push_back(effects.q(c, u) <= unit_findings::false_discovery_rate);
    }
  }
  for (const token_id token : found.highest_tokens) map.notes.push_back(token < 0 ? "–" : words.piece(token));
  return map;
}

inline std::string name_of_unit(const unit& what) {
  const std::string number =
      what.kind == unit_kind::head || what.kind == unit_kind::neuron ? "." + std::to_string(what.index) : std::string{};
  return std::string{name_of(what.kind)} + " " + std::to_string(what.layer) + number;
}

inline std::string name_of_context(neuron_context::kind which) {
  switch (which) {
    case neuron_context::kind::highest: return "highest";
    case neuron_context::kind::lowest: return "lowest";
    case neuron_context::kind::random: return "random";
  }
  return "";
}

inline std::string rounded(double value, int digits = 3) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.*g", digits, value) > 0 ? buffer : "–";
}

inline plot::report make_report(const unit_findings& found, const tokenizer& words, const std::string& model,
                                const std::string& architecture) {
  const std::vector<std::string>& names = found.categories;
  const unit_effects& effects = found.chosen_effects();
  plot::report page{"What lights up", model};
  std::vector<std::pair<std::string, std::string>> facts{{"architecture", architecture}};
  for (std::size_t c = 0; c < names.size(); ++c) {
    const std::size_t texts = found.groups.texts(c);
    facts.emplace_back(names[c], std::to_string(texts) + (texts == 1 ? " text" : " texts"));
  }
  facts.emplace_back("compared by", std::string{name_of(found.by)});
  page.facts("Texts", facts);
  if (!found.limits.empty()) page.notes("What these texts do not allow to say", found.limits);

  std::vector<std::string> columns{"kind", "units"};
  for (const std::string& name : names) columns.push_back(name);
  std::vector<std::vector<std::string>> rows;
  for (const unit_kind kind : all_unit_kinds) {
    rows.push_back({std::string{name_of(kind)}, std::to_string(found.sums.units().all(kind).size())});
    for (std::size_t c = 0; c < names.size(); ++c) {
      rows.back().push_back(std::to_string(found.count(effects, kind, c)));
    }
  }
  page.table("Findings at a false discovery rate of 5 %", columns, rows);

  page.picture("Heads",
               "Effect size of the norm of each head's result: red is more active than for the other "
               "categories, blue less.",
               "heads", map_of_heads(found));
  plot::add_ranked(
      page, "Neurons",
      "Effect sizes of all MLP neurons, sorted within each layer. Marked are the findings at a false "
      "discovery rate of 5 %. Grey: no effect size, as for a neuron that is never active. Point at a neuron to "
      "see its index, its effect and, of the tokens searched, the one at which it is highest.",
      "neurons", map_of_neurons(found, words));
  std::vector<plot::line_panel> panels;
  for (const unit_kind kind : {unit_kind::layer, unit_kind::attention, unit_kind::mlp}) {
    plot::line_panel panel{.title = std::string{name_of(kind)} + ", norm"};
    for (std::size_t c = 0; c < names.size(); ++c) {
      plot::line_series series{.name = names[c], .colour = plot::hue(c)};
      for (std::size_t layer = 0; layer < found.sums.units().layers(); ++layer) {
        series.x.push_back(static_cast<double>(layer));
        series.y.push_back(effects.g(c, found.sums.units().first(kind, layer)));
      }
      panel.series.push_back(std::move(series));
    }
    panels.push_back(std::move(panel));
  }
  page.chart("Layers and blocks",
             "Effect size of the norms: of the stream after a layer, of what attention adds, of "
             "what the MLP adds.",
             panels, {.y_label = "g"});

  rows.clear();
  for (std::size_t c = 0; c < names.size(); ++c) {
    for (const unit_kind kind : {unit_kind::head, unit_kind::neuron}) {
      for (const std::size_t u : found.top_units(kind, c, 8)) {
        rows.push_back({names[c], name_of_unit(found.sums.units()[u]), rounded(effects.g(c, u)),
                        rounded(effects.low(c, u)) + " to " + rounded(effects.high(c, u)), rounded(effects.p(c, u)),
                        rounded(effects.q(c, u))});
      }
    }
  }
  page.table("Largest effects", std::vector<std::string>{"category", "unit", "g", "95 % of g", "p", "q"}, rows);
  rows.clear();
  for (std::size_t c = 0; c < names.size(); ++c) {
    for (const unit_kind kind : {unit_kind::head, unit_kind::neuron}) {
      const list_check check = found.check_top_units(kind, c, 8);
      if (check.listed == 0) continue;
      rows.push_back({names[c], std::string{name_of(kind)} + "s", rounded(check.g), rounded(check.g_of_others),
                      std::to_string(check.again) + " of " + std::to_string(check.listed)});
    }
  }
  page.table("The eight largest effects of one half of the texts, measured on the other half",
             std::vector<std::string>{"category", "units", "mean g where chosen", "mean g on the other half",
                                      "in the other half's list, too"},
             rows);

  std::vector<std::vector<std::string>> controls;
  rows.clear();
  for (const auto& neuron : found.neurons) {
    const token_controls& control = neuron.controls;
    const std::string name = name_of_unit(neuron.what);
    controls.push_back({names[neuron.category], name, rounded(control.by_token), rounded(control.by_position),
                        control.best < 0 ? "–" : "⟦" + words.piece(control.best) + "⟧", rounded(control.by_best),
                        rounded(control.mean_at_best), rounded(control.mean_elsewhere),
                        rounded(control.gap_beyond_tokens)});
    for (const neuron_context& each : neuron.contexts) {
      rows.push_back({names[neuron.category], name, name_of_context(each.which), rounded(each.value), each.text});
    }
  }
  page.table("What else explains the top neurons",
             std::vector<std::string>{"category", "unit", "variance by token", "by position", "best single token",
                                      "variance by it", "mean at it", "mean elsewhere", "gap beyond tokens"},
             controls);
  page.table("Where they are high or low, and random places",
             std::vector<std::string>{"category", "unit", "", "activation", "in its context"}, rows);

  rows.clear();
  for (std::size_t layer = 0; layer < found.sums.units().layers(); ++layer) {
    const layer_activity neurons = activity_of(found, layer);
    rows.push_back({std::to_string(layer), std::to_string(neurons.dead), std::to_string(neurons.always_on)});
  }
  page.table("Neurons that are never, or nearly always, above zero",
             std::vector<std::string>{"layer", "never", "at 99 % of the tokens of every category"}, rows);
  page.notes(
      "How to read it",
      std::vector<std::string>{
          "A text counts once, however long it is. g: the category's mean minus the other categories' mean, in "
          "standard deviations of texts within their categories. 95 % of g: where g of other texts of the same kinds "
          "would lie, by leaving out one text after the other. The largest effects are chosen for being large, so "
          "that their g and its interval are too high: the other half of the texts shows by how much. p: the share of "
          "exchanges of the category labels between texts under which the same difference is at least as large, by "
          "counting or, where it is rare, by a generalised Pareto tail. Texts must be independent documents: pieces "
          "of one document, or texts that share passages, make p too small. q: p adjusted for the number of tests: the "
          "expected share of false findings among the units with q up to 0.05 is at most 5 %, over all categories "
          "and units of the kind.",
          "The first token (BOS) does not count: it is the same in every text. A text that is longer than the "
          "model's context is cut into windows, each beginning with BOS.",
          "Variance by token: the share of the neuron's variance over tokens that is known once the token is; "
          "by position: once the position is. Gap beyond tokens: the share of the difference between "
          "the category and the rest that remains for one and the same token. 1: the neuron follows the category; "
          "near 0: it follows single tokens that the category has more of."});
  return page;
}

}  // namespace light_up
