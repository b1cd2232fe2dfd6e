// SPDX-License-Identifier: MIT
#pragma once
// Bodies of isolation_result.hpp.

#include <cmath>
#include <cstdio>
#include <limits>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/isolation/isolation_result.hpp>

namespace optscope {
namespace detail {

template <class List>
void write_list(json_writer& json, const std::string& name, const List& values) {
  json.key(name).begin_array();
  for (const auto& value : values) json.value(value);
  json.end_array();
}

inline void write_behaviour(json_writer& json, const behaviour& what, const std::string& check) {
  json.begin_object();
  write_list(json, "loss", what.loss);
  json.key("judged").begin_array();
  for (const std::vector<std::size_t>& of_prompts : what.judged) {
    json.begin_array();
    for (const std::size_t count : of_prompts) json.value(count);
    json.end_array();
  }
  json.end_array();
  write_list(json, "loops", what.loops);
  if (!check.empty()) write_list(json, check, what.passing);
  json.end_object();
}

inline void write_curve(json_writer& json, const char* name, const removal_curve& curve, const std::string& check) {
  json.key(name).begin_array();
  for (std::size_t i = 0; i < curve.share.size(); ++i) {
    json.begin_object().field("share", curve.share[i]).key("behaviour");
    write_behaviour(json, curve.behaviours[i], check);
    json.end_object();
  }
  json.end_array();
}

/// The change of every category's loss, with its interval over texts.
inline void write_changes(json_writer& json, const behaviour& before, const behaviour& after) {
  json.key("loss_change").begin_array();
  for (std::size_t c = 0; c < before.loss.size(); ++c) {
    const loss_change change = change_of_loss(before, after, c);
    json.begin_object().field("mean", change.mean).field("low", change.low).field("high", change.high);
    json.field("texts", change.texts).end_object();
  }
  json.end_array();
}

inline void write_pieces(json_writer& json, const char* name, const std::vector<judged_pieces>& all,
                         const std::string& check) {
  json.key(name).begin_array();
  for (const judged_pieces& each : all) {
    json.begin_object().field("pieces", each.pieces).field("loops", each.loops);
    if (!check.empty()) json.field(check, each.passing);
    write_list(json, "judged", each.judged);
    json.end_object();
  }
  json.end_array();
}

inline std::string six_digits(double value) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.6f", value) > 0 ? buffer : "";
}

}  // namespace detail

OPTSCOPE_INLINE void write_summary(const std::filesystem::path& file, const isolation_result& result,
                                   const isolation_record& record) {
  constexpr double missing = std::numeric_limits<double>::quiet_NaN();
  json_writer json;
  json.begin_object().field("model", record.model).field("keep", result.kept_name());
  json.field("by", record.by).field("replace", record.replace).field("units", record.units);
  json.key("categories").begin_array();
  for (std::size_t c = 0; c < result.categories.size(); ++c) {
    json.begin_object().field("name", result.categories[c]).field("texts", record.texts[c]);
    json.field("scoring_tokens", record.scoring_tokens[c]).end_object();
  }
  json.end_array().field("units_in_all", result.units_in_all);
  json.field("overlap_of_halves", result.overlaps.of_halves.value_or(missing));
  json.field("overlap_of_seeds", result.overlaps.of_seeds.value_or(missing));
  json.field("transformers_reads_model", record.even_layers).key("nothing_removed");
  detail::write_behaviour(json, result.whole, record.check);
  json.key("kept").begin_array();
  for (std::size_t c = 0; c < result.of.size(); ++c) {
    const isolated_category& each = result.of[c];
    if (!each.measured()) continue;
    json.begin_object().field("category", result.categories[c]).field("removed", each.removed);
    json.field("reached_95_percent_of_own", each.reached).key("behaviour");
    detail::write_behaviour(json, each.final, record.check);
    detail::write_changes(json, result.whole, each.final);
    detail::write_curve(json, "by_score", each.by_score, record.check);
    detail::write_curve(json, "random", each.random, record.check);
    detail::write_curve(json, "reversed", each.reversed, record.check);
    json.end_object();
  }
  json.end_array().key("where_it_sits").begin_array();
  for (const control_result& row : result.controls) {
    json.begin_object().field("what", label_of(row, result.terms)).field("removed", row.removed).key("behaviour");
    detail::write_behaviour(json, row.found, record.check);
    json.end_object();
  }
  json.end_array().field("verdict", result.verdict());
  if (result.swapped) {
    json.key("halves_swapped").begin_object().field("removed", result.swapped->removed).key("nothing_removed");
    detail::write_behaviour(json, result.swapped->whole, record.check);
    json.key("behaviour");
    detail::write_behaviour(json, result.swapped->final, record.check);
    detail::write_changes(json, result.swapped->whole, result.swapped->final);
    json.end_object();
  }
  json.key("judge").begin_object();
  detail::write_pieces(json, "held_out", result.held_out, record.check);
  detail::write_pieces(json, "shuffled", result.shuffled, record.check);
  json.end_object();
  json.key("halves").begin_object();
  detail::write_list(json, "scoring", record.scoring_half);
  detail::write_list(json, "measured", record.measured_half);
  json.end_object();
  detail::write_list(json, "limits", record.limits);
  if (!record.run.empty()) json.key("run").raw(record.run);
  json.end_object();
  write_file(file, json.text() + "\n");
}

OPTSCOPE_INLINE void write_scores(const std::filesystem::path& file, const isolation_result& result) {
  std::string table = "kind\tlayer\tindex\tscore\tremoved\n";
  for (const scored_unit& each : result.scores) {
    table += std::string{name_of(each.what.kind)} + "\t" + std::to_string(each.what.layer) + "\t" +
             std::to_string(each.what.index) + "\t" + detail::six_digits(each.score) + "\t" +
             (each.removed ? "1" : "0") + "\n";
  }
  write_file(file, table);
}

OPTSCOPE_INLINE void write_continuations(const std::filesystem::path& file, const isolation_result& result) {
  json_writer json;
  json.begin_array();
  for (const continued_prompt& each : result.continuations) {
    json.begin_object().field("category", result.categories[each.category]);
    json.field("prompt", each.prompt).field("before", each.before).field("after", each.after);
    json.field("after_is", result.class_name(each.after_is)).end_object();
  }
  json.end_array();
  write_file(file, json.text() + "\n");
}

}  // namespace optscope
