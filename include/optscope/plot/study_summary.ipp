// SPDX-License-Identifier: MIT
#pragma once
// Bodies of study_summary.hpp.

#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/study_summary.hpp>
#include <vector>

namespace optscope::plot {

OPTSCOPE_INLINE void write_summary(const study_report& study, const std::filesystem::path& path) {
  json_writer json;
  json.begin_object().field("model", study.model);
  json.key("facts").begin_object();
  for (const auto& [name, value] : study.facts) json.field(name, value);
  json.end_object();
  json.list("layers", study.layers);
  json.list("positions", study.positions);
  json.key("texts").begin_array();
  for (const report_text& text : study.texts) {
    json.begin_object().field("category", text.category).field("name", text.name).field("tokens", text.tokens);
    json.end_object();
  }
  json.end_array().key("similarity").begin_array();
  for (const report_curves& curves : study.curves) {
    json.begin_object().field("site", curves.site).field("metric", curves.metric);
    json.field("labelings", curves.labelings).field("exact", curves.exact).key("by_layer").begin_array();
    for (std::size_t i = 0; i < study.layers.size(); ++i) {
      json.begin_object().field("layer", study.layers[i]).field("within_text", curves.within_text[i]);
      json.field("within_category", curves.within_category[i]);
      json.field("between_categories", curves.between_categories[i]).field("p", curves.p_value[i]).end_object();
    }
    json.end_array().end_object();
  }
  const auto dimensions = [&](const char* name, const std::vector<report_dimension>& list) {
    json.key(name).begin_array();
    for (const report_dimension& d : list) {
      json.begin_object().field("dimension", d.dimension).field("layer", d.layer).field("F", d.f).end_object();
    }
    json.end_array();
  };
  json.end_array().key("separating_dimensions").begin_array();
  for (const report_streams& streams : study.streams) {
    json.begin_object().field("site", streams.site);
    dimensions("best", streams.best);
    dimensions("best_by_layer", streams.best_by_layer);
    json.end_object();
  }
  json.end_array().end_object();
  write_file(path, json.text() + "\n");
}

}  // namespace optscope::plot
