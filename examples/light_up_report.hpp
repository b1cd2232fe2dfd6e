// SPDX-License-Identifier: MIT
#pragma once
// What `light_up` writes.
#include <cstdio>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/report.hpp>

#include "light_up_study.hpp"

namespace light_up {

inline std::string cell(double value) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.6g", value) > 0 ? buffer : "";
}

/// One row a unit: what it does in each category, and the effects by the chosen statistic. An empty cell: not known.
inline void write_table(const findings& found, const settings& how, const fs::path& path) {
  std::string table = "kind\tlayer\tindex";
  for (const std::string& name : found.texts.categories) {
    for (const char* column : {"frequency", "mean", "mean_abs", "rms", "std", "g", "p", "q"}) {
      table += "\t" + name + "." + column;
    }
  }
  table += '\n';
  output_file file{path};
  file.write(table);
  const auto add = [&](double value) { table.append(1, '\t').append(cell(value)); };
  const unit_effects& effects = found.effects.at(how.by);
  for (std::size_t u = 0; u < found.sums.units().size(); ++u) {
    const unit what = found.sums.units()[u];
    table = std::string{name_of(what.kind)} + "\t" + std::to_string(what.layer) + "\t" + std::to_string(what.index);
    for (std::size_t c = 0; c < found.texts.categories.size(); ++c) {
      for (const unit_statistic statistic : all_unit_statistics) add(found.mean(c, statistic, u));
      add(found.deviation(c, u));
      for (const auto* values : {&effects.g, &effects.p, &effects.q}) add((*values)(c, u));
    }
    file.write(table + "\n");
  }
  file.commit();
}

inline void write_summary(const findings& found, const settings& how, const tokenizer& words, const fs::path& path) {
  json_writer json;
  json.begin_object().field("model", found.model_name).field("architecture", found.architecture_text);
  json.field("by", name_of(how.by)).field("false_discovery_rate", finding);
  json.field("texts_a_group", found.groups.texts_per_group()).key("categories").begin_array();
  for (std::size_t c = 0; c < found.texts.categories.size(); ++c) {
    json.begin_object().field("name", found.texts.categories[c]).field("texts", found.groups.texts(c));
    json.field("labellings", found.effects.at(how.by).labellings[c]);
    json.field("exact", static_cast<bool>(found.effects.at(how.by).exact[c])).key("findings").begin_object();
    for (const auto& [statistic, effects] : found.effects) {
      json.key(name_of(statistic)).begin_object();
      for (const unit_kind kind : all_unit_kinds) json.field(name_of(kind), count_findings(found, effects, kind, c));
      json.end_object();
    }
    json.end_object().key("top").begin_array();
    for (const unit_kind kind : all_unit_kinds) {
      for (const std::size_t u : top_units(found, how, kind, c, kind == unit_kind::neuron ? 32 : 8)) {
        const unit what = found.sums.units()[u];
        json.begin_object().field("kind", name_of(kind)).field("layer", what.layer).field("index", what.index);
        json.field("g", found.effects.at(how.by).g(c, u)).field("p", found.effects.at(how.by).p(c, u));
        json.field("q", found.effects.at(how.by).q(c, u)).end_object();
      }
    }
    json.end_array().end_object();
  }
  json.end_array().key("neurons").begin_array();
  for (const auto& neuron : found.neurons) {
    json.begin_object().field("layer", neuron.what.layer).field("index", neuron.what.index);
    json.field("category", found.texts.categories[neuron.category]);
    const token_controls& control = neuron.controls;
    json.field("variance_by_token", control.by_token).field("variance_by_position", control.by_position);
    json.field("variance_by_best_token", control.by_best).key("best_token");
    if (control.best < 0) {
      json.value(nullptr);
    } else {
      json.value(words.piece(control.best));
    }
    json.field("mean_at_best_token", control.mean_at_best).field("mean_elsewhere", control.mean_elsewhere);
    json.field("gap_beyond_tokens", control.gap_beyond_tokens).end_object();
  }
  json.end_array().key("by_layer").begin_array();
  for (std::size_t layer = 0; layer < found.sums.units().layers(); ++layer) {
    const activity neurons = activity_of(found, layer);
    json.begin_object().field("layer", layer).field("dead_neurons", neurons.dead);
    json.field("always_on_neurons", neurons.always_on).end_object();
  }
  json.end_array().key("limits").begin_array();
  for (const std::string& limit : found.limits) json.value(limit);
  json.end_array().end_object();
  write_file(path, json.text() + "\n");
}

/// Effect sizes of a kind as a map for each category: (category, layer, unit).
inline plot::picture draw_map(const findings& found, const settings& how, unit_kind kind) {
  const unit_table& units = found.sums.units();
  tensor<float, 3> maps{{found.texts.categories.size(), units.layers(), units.count(kind)}};
  std::vector<float> sizes;
  for (std::size_t c = 0; c < maps.rows(); ++c) {
    for (std::size_t layer = 0; layer < units.layers(); ++layer) {
      for (std::size_t i = 0; i < units.count(kind); ++i) {
        const double g = found.effects.at(how.by).g(c, units.first(kind, layer) + i);
        maps(c, layer, i) = static_cast<float>(g);
        if (std::isfinite(g)) sizes.push_back(static_cast<float>(std::abs(g)));
      }
    }
  }
  plot::heatmap_options options;
  options.title = std::string{kind == unit_kind::head ? "Heads" : "Neurons"} + ": layer (down), index (across)";
  options.value_label = "effect size g of " + std::string{name_of(how.by)};
  options.panel_titles = found.texts.categories;
  options.columns = kind == unit_kind::head ? 0 : 2;
  if (!sizes.empty()) {  // a few extremes must not take all the colours
    const auto high = sizes.begin() + static_cast<std::ptrdiff_t>(0.995 * static_cast<double>(sizes.size() - 1));
    std::nth_element(sizes.begin(), high, sizes.end());
    options.range = plot::value_range{.low = -std::max(*high, 1e-6f), .high = std::max(*high, 1e-6f)};
  }
  return plot::heatmap(maps.view(), options);
}

inline std::string name_of_unit(const unit& what) {
  const std::string number =
      what.kind == unit_kind::head || what.kind == unit_kind::neuron ? "." + std::to_string(what.index) : std::string{};
  return std::string{name_of(what.kind)} + " " + std::to_string(what.layer) + number;
}

inline std::string rounded(double value, int digits = 3) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.*g", digits, value) > 0 ? buffer : "–";
}

inline plot::report make_report(const findings& found, const settings& how, const tokenizer& words) {
  const std::vector<std::string>& names = found.texts.categories;
  const unit_effects& effects = found.effects.at(how.by);
  plot::report page{"What lights up", found.model_name};
  std::vector<std::pair<std::string, std::string>> facts{{"architecture", found.architecture_text}};
  for (std::size_t c = 0; c < names.size(); ++c)
    facts.emplace_back(names[c], std::to_string(found.groups.texts(c)) + " texts");
  facts.emplace_back("compared by", std::string{name_of(how.by)});
  page.facts("Texts", facts);
  if (!found.limits.empty()) page.notes("What these texts do not allow to say", found.limits);

  std::vector<std::string> columns{"kind", "units"};
  for (const std::string& name : names) columns.push_back(name);
  std::vector<std::vector<std::string>> rows;
  for (const unit_kind kind : all_unit_kinds) {
    rows.push_back({std::string{name_of(kind)}, std::to_string(found.sums.units().all(kind).size())});
    for (std::size_t c = 0; c < names.size(); ++c) {
      rows.back().push_back(std::to_string(count_findings(found, effects, kind, c)));
    }
  }
  page.table("Findings at a false discovery rate of 5 %", columns, rows);

  page.picture("Heads",
               "Effect size of the norm of each head's result: yellow is more active than for the other "
               "categories, dark less.",
               "heads", draw_map(found, how, unit_kind::head));
  page.picture("Neurons", "The same of every MLP neuron.", "neurons", draw_map(found, how, unit_kind::neuron));
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
             "Effect size of the norms: of the stream behind a layer, of what attention adds, of "
             "what the MLP adds.",
             panels, {.y_label = "g"});

  rows.clear();
  for (std::size_t c = 0; c < names.size(); ++c) {
    for (const unit_kind kind : {unit_kind::head, unit_kind::neuron}) {
      for (const std::size_t u : top_units(found, how, kind, c, 8)) {
        rows.push_back({names[c], name_of_unit(found.sums.units()[u]), rounded(effects.g(c, u)),
                        rounded(effects.p(c, u)), rounded(effects.q(c, u))});
      }
    }
  }
  page.table("Largest effects", std::vector<std::string>{"category", "unit", "g", "p", "q"}, rows);

  std::vector<std::vector<std::string>> controls;
  rows.clear();
  for (const auto& neuron : found.neurons) {
    const token_controls& control = neuron.controls;
    const std::string name = name_of_unit(neuron.what);
    controls.push_back({names[neuron.category], name, rounded(control.by_token), rounded(control.by_position),
                        control.best < 0 ? "–" : "⟦" + words.piece(control.best) + "⟧", rounded(control.by_best),
                        rounded(control.mean_at_best), rounded(control.mean_elsewhere),
                        rounded(control.gap_beyond_tokens)});
    for (const auto& [which, place] : neuron.contexts) {
      rows.push_back({names[neuron.category], name, which, rounded(place.first), place.second});
    }
  }
  page.table("What else explains the top neurons",
             std::vector<std::string>{"category", "unit", "variance by token", "by position", "best single token",
                                      "variance by it", "mean at it", "mean elsewhere", "gap beyond tokens"},
             controls);
  page.table("Where they are high, low, and at random",
             std::vector<std::string>{"category", "unit", "", "activation", "in its context"}, rows);

  rows.clear();
  for (std::size_t layer = 0; layer < found.sums.units().layers(); ++layer) {
    const activity neurons = activity_of(found, layer);
    rows.push_back({std::to_string(layer), std::to_string(neurons.dead), std::to_string(neurons.always_on)});
  }
  page.table("Neurons that are never, or nearly always, above zero",
             std::vector<std::string>{"layer", "never", "at 99 % of the tokens of every category"}, rows);
  page.notes("How to read it",
             std::vector<std::string>{
                 "A text counts once, however long it is. g: the category's mean minus the other categories' mean, in "
                 "standard deviations of texts within their categories. p: the share of assignments of the category "
                 "labels to texts under which the category stands out as much. q: p adjusted so that of the units with "
                 "q up to 0.05 at most 5 % are false findings, over all categories and units of the kind.",
                 "The first token (BOS) does not count: it is the same in every text. A text that is longer than the "
                 "model's context is cut into windows, each with BOS in front.",
                 "Variance by token: the share of the neuron's variance over tokens that is known once the token is; "
                 "by position: once the position is. Gap beyond tokens: what is left of the difference between the "
                 "category and the rest when each token's mean is taken off. A neuron whose gap is near zero follows "
                 "single tokens that the category has more of."});
  return page;
}

}  // namespace light_up
