// SPDX-License-Identifier: MIT
#pragma once
// Bodies of unit_findings.hpp.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/utf8.hpp>
#include <optscope/units/selectivity.hpp>
#include <optscope/units/unit_findings.hpp>
#include <span>
#include <string_view>

namespace optscope {

OPTSCOPE_INLINE double unit_findings::mean(std::size_t category, unit_statistic statistic, std::size_t unit) const {
  return sums.sum(category, statistic)[unit] / static_cast<double>(groups.texts(category));
}

OPTSCOPE_INLINE double unit_findings::deviation(std::size_t category, std::size_t unit) const {
  const double m = mean(category, unit_statistic::mean, unit);
  const double square = sums.mean_squares(category)[unit] / static_cast<double>(groups.texts(category));
  return std::sqrt(std::max(0.0, square - m * m));
}

namespace detail {

/// The units, of those numbered, with the largest effects of either sign.
inline std::vector<std::size_t> largest_effects(std::span<const double> g, const std::vector<std::size_t>& numbers,
                                                std::size_t count) {
  std::vector<double> size;
  for (const std::size_t u : numbers) size.push_back(std::abs(g[u]));
  std::vector<std::size_t> best;
  for (const std::size_t i : indices_of_largest(size, count)) {
    if (std::isfinite(size[i])) best.push_back(numbers[i]);
  }
  return best;
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<std::size_t> unit_findings::top_units(unit_kind kind, std::size_t category,
                                                                  std::size_t count) const {
  return detail::largest_effects(chosen_effects().g.row(category), sums.units().all(kind), count);
}

OPTSCOPE_INLINE list_check unit_findings::check_top_units(unit_kind kind, std::size_t category,
                                                          std::size_t count) const {
  const std::vector<std::size_t> numbers = sums.units().all(kind);
  std::vector<double> g[2];
  std::vector<std::size_t> best[2];
  for (const std::size_t half : {0, 1}) {
    g[half] = effect_sizes_of_half(sums, groups, category, by, half);
    best[half] = detail::largest_effects(g[half], numbers, count);
  }
  list_check result;
  for (const std::size_t half : {0, 1}) {
    for (const std::size_t u : best[half]) {
      const double other = g[1 - half][u];
      if (!std::isfinite(other)) continue;
      result.listed += 1;
      result.again += std::ranges::count(best[1 - half], u) > 0;
      result.g += std::abs(g[half][u]);
      result.g_of_others += g[half][u] < 0 ? -other : other;
    }
  }
  result.g /= static_cast<double>(result.listed);  // NaN without a list
  result.g_of_others /= static_cast<double>(result.listed);
  return result;
}

OPTSCOPE_INLINE std::size_t unit_findings::fewest(const unit_effects& of, unit_kind kind, std::size_t category) const {
  const auto tests = static_cast<double>(categories.size() * sums.units().all(kind).size());
  const double least = of.smallest_p[category] * tests / false_discovery_rate;
  return static_cast<std::size_t>(std::max(1.0, std::ceil(least - 1e-9)));
}

OPTSCOPE_INLINE std::size_t unit_findings::count(const unit_effects& of, unit_kind kind, std::size_t category) const {
  const std::vector<std::size_t> numbers = sums.units().all(kind);
  return static_cast<std::size_t>(
      std::ranges::count_if(numbers, [&](std::size_t u) { return of.q(category, u) <= false_discovery_rate; }));
}

OPTSCOPE_INLINE layer_activity activity_of(const unit_findings& found, std::size_t layer) {
  layer_activity result;
  const std::size_t first = found.sums.units().first(unit_kind::neuron, layer);
  for (std::size_t i = 0; i < found.sums.units().count(unit_kind::neuron); ++i) {
    double lowest = 1, highest = 0;
    for (std::size_t c = 0; c < found.categories.size(); ++c) {
      const double share = found.mean(c, unit_statistic::frequency, first + i);
      lowest = std::min(lowest, share);
      highest = std::max(highest, share);
    }
    result.dead += highest == 0;
    result.always_on += lowest >= 0.99;
  }
  return result;
}

namespace detail {

/// Whether an effect size is known for any unit.
inline bool any_effect_size(const unit_effects& effects) {
  for (std::size_t c = 0; c < effects.g.rows(); ++c) {
    if (std::ranges::any_of(effects.g.row(c), [](double g) { return std::isfinite(g); })) return true;
  }
  return false;
}

inline std::string table_cell(double value) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.6g", value) > 0 ? buffer : "";
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<std::string> limits_of(const unit_findings& found) {
  std::vector<std::string> limits;
  const std::size_t categories = found.categories.size();
  std::vector<std::size_t> texts;
  for (std::size_t c = 0; c < categories; ++c) texts.push_back(found.groups.texts(c));
  const std::size_t all = std::accumulate(texts.begin(), texts.end(), std::size_t{0});
  for (std::size_t c = 0; c < categories; ++c) {
    if (texts[c] != 1) continue;
    limits.push_back("category " + found.categories[c] +
                     " has one text: how its texts differ among themselves is not known, its effects rest on the other "
                     "categories' spread");
  }
  const auto [fewest, most] = std::ranges::minmax(texts);
  if (most > 10 * fewest) {
    limits.push_back("the categories have from " + std::to_string(fewest) + " to " + std::to_string(most) +
                     " texts: the small ones decide how sure a finding can be");
  }
  if (all == categories) limits.push_back("one text in every category: no effect size can be given");
  const unit_effects& effects = found.effects.begin()->second;
  const std::size_t in_groups = found.groups.count() * found.groups.texts_per_group();
  if (in_groups < all || found.groups.texts_per_group() > 1) {
    limits.push_back("p and the halves come from " + std::to_string(found.groups.count()) + " groups of " +
                     std::to_string(found.groups.texts_per_group()) + " texts each; the other " +
                     std::to_string(all - in_groups) + " texts count for effect sizes alone");
  }
  for (std::size_t c = 0; c < categories; ++c) {
    const std::size_t together = found.fewest(effects, unit_kind::neuron, c);
    if (together == 1) continue;
    const std::size_t tests = categories * found.sums.units().all(unit_kind::neuron).size();
    limits.push_back("category " + found.categories[c] + ": with so few texts p cannot be below " +
                     detail::table_cell(effects.smallest_p[c]) + ", so that of " + std::to_string(tests) +
                     " tests of neurons " +
                     (together > tests ? "none" : "no fewer than " + std::to_string(together) + " findings together") +
                     " can be told from chance, however clear they are");
  }
  if (all > categories && !detail::any_effect_size(effects)) {
    limits.push_back(
        "no unit varies between the texts of a category (identical texts, or no activity): no effect size can be "
        "given");
  }
  return limits;
}

OPTSCOPE_INLINE std::string context_of(const tokenizer& words, const token_list& tokens, std::size_t at) {
  constexpr std::size_t before = 10, after = 5;
  const std::size_t first = at > before ? at - before : 0, last = std::min(tokens.size(), at + after);
  const std::span<const token_id> all{tokens};
  const std::string text = words.decode(all.subspan(first, at - first)) + "⟦" + words.piece(tokens[at]) + "⟧" +
                           words.decode(all.subspan(at + 1, last - at - 1));
  std::string shown;
  for (const char c : text) {
    if (c == '\n') {
      shown += "⏎";
    } else if (c == '\t') {
      shown += "→";
    } else {
      shown += c;
    }
  }
  return shown;
}

namespace detail {
/// A name that any reader of a table takes for one cell: `\t`, `\n`, `\r` and `\\` for these characters.
inline std::string table_name(std::string name) {
  std::string cell;
  for (const char c : utf8::replace_errors(std::move(name))) {
    const std::size_t which = std::string_view{"\t\n\r\\"}.find(c);
    if (which == std::string_view::npos) {
      cell += c;
    } else {
      cell += {'\\', "tnr\\"[which]};
    }
  }
  return cell;
}
}  // namespace detail

OPTSCOPE_INLINE void write_unit_table(const std::filesystem::path& file, const unit_findings& found) {
  std::string row = "kind\tlayer\tindex";
  for (const std::string& name : found.categories) {
    for (const char* column : {"frequency", "mean", "mean_abs", "rms", "std", "g", "g_low", "g_high", "p", "q"}) {
      row += "\t" + detail::table_name(name) + "." + column;
    }
  }
  row += '\n';
  output_file out{file};
  out.write(row);
  const auto add = [&](double value) { row.append(1, '\t').append(detail::table_cell(value)); };
  const unit_effects& effects = found.chosen_effects();
  for (std::size_t u = 0; u < found.sums.units().size(); ++u) {
    const unit what = found.sums.units()[u];
    row = std::string{name_of(what.kind)} + "\t" + std::to_string(what.layer) + "\t" + std::to_string(what.index);
    for (std::size_t c = 0; c < found.categories.size(); ++c) {
      for (const unit_statistic statistic : all_unit_statistics) add(found.mean(c, statistic, u));
      add(found.deviation(c, u));
      for (const auto* values : {&effects.g, &effects.low, &effects.high, &effects.p, &effects.q}) add((*values)(c, u));
    }
    out.write(row + "\n");
  }
  out.commit();
}

namespace detail {

inline void write_category(json_writer& json, const unit_findings& found, std::size_t category) {
  const unit_effects& chosen = found.chosen_effects();
  json.begin_object().field("name", found.categories[category]).field("texts", found.groups.texts(category));
  json.field("labellings", chosen.labellings[category]);
  json.field("exact", static_cast<bool>(chosen.exact[category])).field("smallest_p", chosen.smallest_p[category]);
  json.key("fewest_findings").begin_object();
  for (const unit_kind kind : all_unit_kinds) json.field(name_of(kind), found.fewest(chosen, kind, category));
  json.end_object().key("findings").begin_object();
  for (const auto& [statistic, effects] : found.effects) {
    json.key(name_of(statistic)).begin_object();
    for (const unit_kind kind : all_unit_kinds) json.field(name_of(kind), found.count(effects, kind, category));
    json.end_object();
  }
  json.end_object().key("top").begin_array();
  for (const unit_kind kind : all_unit_kinds) {
    for (const std::size_t u : found.top_units(kind, category, kind == unit_kind::neuron ? 32 : 8)) {
      const unit what = found.sums.units()[u];
      json.begin_object().field("kind", name_of(kind)).field("layer", what.layer).field("index", what.index);
      json.field("g", chosen.g(category, u)).field("g_low", chosen.low(category, u));
      json.field("g_high", chosen.high(category, u)).field("p", chosen.p(category, u));
      json.field("q", chosen.q(category, u)).end_object();
    }
  }
  json.end_array().key("top_on_other_half").begin_array();
  for (const unit_kind kind : {unit_kind::head, unit_kind::neuron}) {
    const list_check check = found.check_top_units(kind, category, 8);
    json.begin_object().field("kind", name_of(kind)).field("listed", check.listed).field("again", check.again);
    json.field("g_where_chosen", check.g).field("g_on_other_half", check.g_of_others).end_object();
  }
  json.end_array().end_object();
}

inline void write_neuron(json_writer& json, const found_neuron& neuron, const std::string& category,
                         const tokenizer& words) {
  const token_controls& control = neuron.controls;
  json.begin_object().field("layer", neuron.what.layer).field("index", neuron.what.index).field("category", category);
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

}  // namespace detail

OPTSCOPE_INLINE void write_unit_summary(const std::filesystem::path& file, const unit_findings& found,
                                        const tokenizer& words, const std::string& model,
                                        const std::string& architecture, const std::string& run) {
  json_writer json;
  json.begin_object().field("model", model).field("architecture", architecture);
  json.field("by", name_of(found.by)).field("false_discovery_rate", unit_findings::false_discovery_rate);
  json.field("texts_a_group", found.groups.texts_per_group()).key("categories").begin_array();
  for (std::size_t c = 0; c < found.categories.size(); ++c) detail::write_category(json, found, c);
  json.end_array().key("neurons").begin_array();
  for (const found_neuron& each : found.neurons) {
    detail::write_neuron(json, each, found.categories[each.category], words);
  }
  json.end_array().key("by_layer").begin_array();
  for (std::size_t layer = 0; layer < found.sums.units().layers(); ++layer) {
    const layer_activity neurons = activity_of(found, layer);
    json.begin_object().field("layer", layer).field("dead_neurons", neurons.dead);
    json.field("always_on_neurons", neurons.always_on).end_object();
  }
  json.end_array().key("limits").begin_array();
  for (const std::string& limit : found.limits) json.value(limit);
  json.end_array();
  if (!run.empty()) json.key("run").raw(run);
  json.end_object();
  write_file(file, json.text() + "\n");
}

}  // namespace optscope
