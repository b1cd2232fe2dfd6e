// SPDX-License-Identifier: MIT
#pragma once
// The report and the summary of `tight_pass`.
#include <filesystem>
#include <map>
#include <optional>
#include <optscope/core/architecture.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/plot/spectra_report.hpp>
#include <optscope/similarity/blocks.hpp>
#include <optscope/spectrum.hpp>
#include <string>
#include <utility>
#include <vector>

namespace tight_pass_report {

using namespace optscope;
namespace fs = std::filesystem;

/// What was asked for and found.
struct findings {
  spectra_plan plan;
  planned_spectra members;
  std::vector<block_spectrum> spectra{};  ///< [request]
  std::string model, analyser;
  std::string run{};  ///< JSON: the record of the run

  [[nodiscard]] std::vector<const block_spectrum*> at(const std::vector<std::size_t>& numbers) const {
    std::vector<const block_spectrum*> result;
    for (const std::size_t i : numbers) result.push_back(&spectra[i]);
    return result;
  }
};

/// Spectra that one picture compares.
struct comparison {
  std::string name, title;                          // "layers", "Spectra over the layers"
  std::vector<std::vector<std::size_t>> members{};  // (block, curve): numbers of spectra
  std::vector<std::string> labels{};                // [curve]
  std::vector<plot::rgb> colours{};                 // [curve]
  std::vector<std::size_t> categories{};            // [curve], of texts
  std::vector<plot::row_group> groups{};            // of the curves
};

inline std::vector<comparison> comparisons_of(const findings& found, const corpus& input) {
  const spectra_plan& plan = found.plan;
  const std::string at = ", layer " + std::to_string(plan.at);
  comparison layers{.name = "layers",
                    .title = "Spectra over the layers, " + std::to_string(plan.tokens) + " tokens",
                    .members = found.members.layers};
  comparison lengths{
      .name = "lengths", .title = "Spectra over the number of tokens" + at, .members = found.members.lengths};
  comparison texts{.name = "texts", .title = "Spectra of the texts" + at, .members = found.members.texts};
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    layers.labels.push_back("layer " + std::to_string(plan.layers[i]));
    layers.colours.push_back(plot::viridis(plan.layers.size() < 2 ? 0.4 : double(i) / double(plan.layers.size() - 1)));
  }
  for (std::size_t i = 0; i < plan.lengths.size(); ++i) {
    lengths.labels.push_back(std::to_string(plan.lengths[i]) + " tokens");
    lengths.colours.push_back(plot::hue(i));
  }
  std::map<std::size_t, std::size_t> members, met;
  for (const std::size_t text : plan.texts) ++members[input.category_of[text]];
  for (const std::size_t text : plan.texts) {
    const std::size_t category = input.category_of[text];
    texts.labels.push_back(input.texts[text].name);
    texts.colours.push_back(plot::shade(category, met[category]++, members[category]));
    texts.categories.push_back(category);
    if (texts.groups.empty() || texts.groups.back().name != input.categories[category])
      texts.groups.push_back({input.categories[category], 0});
    ++texts.groups.back().size;
  }
  std::vector<comparison> all{std::move(layers)};
  if (!lengths.labels.empty()) all.push_back(std::move(lengths));
  if (texts.labels.size() > 1) all.push_back(std::move(texts));
  return all;
}

inline plot::spectrum_curve curve_of(const block_spectrum& of, std::size_t hidden, std::string label,
                                     plot::rgb colour) {
  const rank_notions ranks = of.ranks(hidden);
  plot::spectrum_curve curve;
  curve.name = std::move(label);
  curve.colour = colour;
  curve.size = of.found.size;
  curve.largest = ranks.largest;
  curve.floor = ranks.floor;
  curve.bound = ranks.bound;
  if (!of.found.density) {
    curve.values = of.found.values;
    return curve;
  }
  const tensor<double, 2> table = density_table(*of.found.density, 200, true);
  for (std::size_t i = 0; i < table.rows(); ++i) {
    curve.thresholds.push_back(table(i, 0));
    curve.counts.push_back(table(i, 1));
    curve.errors.push_back(table(i, 2));
  }
  return curve;
}

/// The widths of each block over the layers; none if there is one layer.
inline std::vector<layer_widths> widths_of(const findings& found, std::size_t hidden) {
  std::vector<layer_widths> result;
  for (const auto& texts : found.members.widths) {
    std::vector<std::vector<const block_spectrum*>> spectra;
    for (const std::vector<std::size_t>& layers : texts) spectra.push_back(found.at(layers));
    if (!spectra.empty()) result.push_back(widths_over_layers(spectra, hidden));
  }
  return result;
}

/// Overlaps of the leading directions of one comparison, block and side.
struct overlap_result {
  std::string compared;
  block_kind block;
  std::string side;
  subspace_overlaps found;
  std::optional<block_summary> categories{};

  [[nodiscard]] std::string file() const {
    return "angles-" + short_name_of(block) + "-" + compared + "-" + side + ".npy";
  }
};

inline std::vector<overlap_result> find_overlaps(const comparison& compared, const findings& found) {
  std::vector<overlap_result> results;
  if (compared.name == "lengths" || compared.labels.size() < 2) return results;
  for (std::size_t b = 0; b < found.plan.blocks.size(); ++b) {
    const std::vector<const block_spectrum*> members = found.at(compared.members[b]);
    for (const block_side side : {block_side::writes, block_side::reads}) {
      overlap_result result{.compared = compared.name,
                            .block = found.plan.blocks[b],
                            .side = side == block_side::writes ? "writes" : "reads",
                            .found = overlaps_of(members, side)};
      if (result.found.mean.size() == 0) continue;
      if (!compared.categories.empty()) {
        vector_labels labels{.text = {}, .category = compared.categories};
        for (std::size_t i = 0; i < members.size(); ++i) labels.text.push_back(i);
        result.categories = similarity_blocks(std::as_const(result.found.mean).view(), labels);
      }
      results.push_back(std::move(result));
    }
  }
  return results;
}

inline void write_spectrum(json_writer& json, const block_spectrum& each, const corpus& input, std::size_t hidden) {
  const auto list = [&](const char* key, const auto& values) {
    if (!values.empty()) json.list(key, values);
  };
  json.begin_object().field("name", each.of.name).field("block", short_name_of(each.of.block));
  json.field("layer", each.of.layer).field("text", input.texts[each.of.text].name).field("tokens", each.of.tokens);
  json.field("file", (each.found.density ? "density-" : "spectrum-") + each.of.name + ".npy");
  json.field("analyser", each.found.method).field("reason", each.found.reason);
  json.field("seconds", each.found.seconds).field("bytes", each.found.bytes);
  if (each.residual > 0) json.field("directions_not_converged_residual", each.residual);
  list("active_neurons", each.active);
  list("share_of_input_in_reads", each.share_read);
  list("share_of_output_in_writes", each.share_written);
  write_ranks(json, each, hidden);
  json.end_object();
}

inline void write_widths(json_writer& json, const std::string& block, const layer_widths& width) {
  const auto optional = [&](const char* key, const auto& value) {
    json.key(key);
    value ? json.value(*value) : json.value(nullptr);
  };
  json.begin_object().field("block", block);
  optional("layer", width.narrowest);
  optional("next", width.next);
  json.field("margin", width.margin);
  optional("margin_low", width.low);
  optional("margin_high", width.high);
  json.field("texts", width.of_texts.size()).field("narrowest_at_texts", width.narrowest_at);
  json.field("inside", width.inside);
  optional("stands_out", width.stands_out);
  json.list("effective_rank_over_bound", width.notions[0].second).key("of_texts").begin_array();
  for (const std::vector<double>& own : width.of_texts) {
    json.begin_array();
    for (const double share : own) json.value(share);
    json.end_array();
  }
  json.end_array().end_object();
}

inline void write_overlap(json_writer& json, const overlap_result& each) {
  json.begin_object().field("compared", each.compared).field("block", short_name_of(each.block));
  json.field("side", each.side).field("directions", each.found.angles.extent(2)).field("angles", each.file());
  json.key("overlap").begin_array();
  for (std::size_t row = 0; row < each.found.mean.rows(); ++row) {
    json.begin_array();
    for (const float value : each.found.mean.row(row)) json.value(value);
    json.end_array();
  }
  json.end_array();
  if (each.categories) {
    json.field("within_category", each.categories->within_category);
    json.field("between_categories", each.categories->between_categories).field("p", each.categories->test.p);
  }
  json.end_object();
}

inline void write_summary(const plot::spectra_report& report, const findings& found,
                          const std::vector<layer_widths>& widths, const std::vector<overlap_result>& overlaps,
                          const corpus& input, std::size_t hidden, const fs::path& path) {
  json_writer json;
  json.begin_object().field("model", report.model).key("facts").begin_object();
  for (const auto& [name, value] : report.facts) json.field(name, value);
  json.end_object().key("spectra").begin_array();
  for (const block_spectrum& each : found.spectra) write_spectrum(json, each, input, hidden);
  json.end_array().key("tight_pass").begin_array();
  for (std::size_t b = 0; b < widths.size(); ++b) write_widths(json, title_of(found.plan.blocks[b]), widths[b]);
  json.end_array().key("directions").begin_array();
  for (const overlap_result& each : overlaps) write_overlap(json, each);
  json.end_array().key("run").raw(found.run).end_object();
  write_file(path, json.text() + "\n");
}

/// The spectra of one comparison as a picture.
inline plot::spectra_set set_of(const comparison& each, const findings& found, std::size_t hidden) {
  plot::spectra_set set;
  set.name = each.name;
  set.title = each.title;
  set.shares = each.name == "lengths";
  if (each.name == "layers" && each.labels.size() > 1) {
    set.levels = plot::value_range{.low = double(found.plan.layers.front()), .high = double(found.plan.layers.back())};
  }
  for (std::size_t b = 0; b < found.plan.blocks.size(); ++b) {
    set.blocks.push_back(title_of(found.plan.blocks[b]));
    auto& curves = set.curves.emplace_back();
    for (std::size_t i = 0; i < each.labels.size(); ++i) {
      curves.push_back(curve_of(found.spectra[each.members[b][i]], hidden, each.labels[i], each.colours[i]));
    }
  }
  return set;
}

/// Report, pictures and summary of what was found.
inline void write(const findings& found, const corpus& input, const architecture& shape, const fs::path& out,
                  thread_pool& pool) {
  const spectra_plan& plan = found.plan;
  plot::spectra_report report;
  report.model = found.model;
  const std::string first = input.category_name(plan.texts[0]) + " / " + input.texts[plan.texts[0]].name;
  report.facts = {{"architecture", describe(shape)},
                  {"tokens", std::to_string(plan.tokens) + ", BOS included"},
                  plan.texts.size() == 1
                      ? std::pair<std::string, std::string>{"text", first}
                      : std::pair<std::string, std::string>{"texts", std::to_string(plan.texts.size()) +
                                                                         "; layers are compared in " + first},
                  {"analyser", found.analyser},
                  {"Jacobian", "LayerNorm inside, residual outside"}};
  std::vector<overlap_result> overlaps;
  for (const comparison& each : comparisons_of(found, input)) {
    report.sets.push_back(set_of(each, found, shape.hidden));
    plot::overlap_set pictures{each.name, "Leading directions of the " + each.name, each.labels, each.groups, {}};
    for (overlap_result& result : find_overlaps(each, found)) {
      pictures.panels.push_back({title_of(result.block) + ", what it " + result.side, result.found.mean});
      write_npy(out / result.file(), result.found.angles);
      overlaps.push_back(std::move(result));
    }
    report.overlaps.push_back(std::move(pictures));
  }
  const std::vector<layer_widths> widths = widths_of(found, shape.hidden);
  for (std::size_t b = 0; b < widths.size(); ++b) {
    report.widths.push_back({.block = title_of(plan.blocks[b]),
                             .layers = widths[b].layers,
                             .notions = widths[b].notions,
                             .of_texts = widths[b].of_texts,
                             .narrowest = widths[b].narrowest,
                             .is_tight_pass = widths[b].inside && widths[b].stands_out.value_or(false),
                             .verdict = widths[b].verdict});
  }
  std::vector<block_spectrum> compared;
  for (std::size_t i = 0; i < found.spectra.size(); ++i) {
    if (found.members.compared(i)) compared.push_back(found.spectra[i]);
  }
  for (spectrum_table& each : tables_of(compared, shape.hidden)) {
    report.tables.push_back({std::move(each.title), std::move(each.columns), std::move(each.rows)});
  }
  report.notes = notes_of(compared, shape);
  write_summary(report, found, widths, overlaps, input, shape.hidden, out / "summary.json");
  plot::make_report(report).write(out, pool);
}

}  // namespace tight_pass_report
