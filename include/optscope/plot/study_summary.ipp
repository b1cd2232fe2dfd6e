// SPDX-License-Identifier: MIT
#pragma once
// Bodies of study_summary.hpp.

#include <cstddef>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/study_summary.hpp>
#include <vector>

namespace optscope::plot {

OPTSCOPE_INLINE void write_summary(const study_report& study, const std::filesystem::path& path, const std::string& run,
                                   const std::vector<std::pair<std::string, std::string>>& more) {
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
  const std::vector<row_group> groups = groups_of(study.texts);
  for (const report_curves& curves : study.curves) {
    json.begin_object().field("site", curves.site).field("metric", curves.metric);
    json.field("distance", curves.distance).field("finding", finding_of(curves, study.layers));
    json.field("labelings", curves.labelings).field("exact", curves.exact).field("smallest_p", curves.smallest_p);
    json.key("by_layer").begin_array();
    for (std::size_t i = 0; i < study.layers.size(); ++i) {
      json.begin_object().field("layer", study.layers[i]).field("within_text", curves.within_text[i]);
      json.field("within_category", curves.within_category[i]);
      json.field("between_categories", curves.between_categories[i]).key("within_each").begin_object();
      for (std::size_t c = 0; c < curves.within_each.size(); ++c) json.field(groups[c].name, curves.within_each[c][i]);
      json.end_object().field("p", curves.p_value[i]).field("p_over_all", curves.p_over_all[i]);
      if (!curves.effect.empty()) {
        json.field("p_holm", curves.p_holm[i]).field("more_alike", curves.effect[i]);
        json.key("more_alike_interval")
            .begin_array()
            .value(curves.effect_low[i])
            .value(curves.effect_high[i])
            .end_array();
      }
      if (!curves.low_rank.empty()) {
        const report_low_rank& fit = curves.low_rank[i];
        json.key("low_rank").begin_object().field("rank", fit.rank).field("common", fit.common);
        json.field("explained", fit.explained).field("residual", fit.residual).field("diagonal", fit.diagonal);
        json.field("finding", fit.finding).end_object();
      }
      if (!curves.p_of_means.empty()) {
        json.field("p_of_means", curves.p_of_means[i]).field("p_of_means_over_all", curves.means_p_over_all[i]);
      }
      json.end_object();
    }
    json.end_array().end_object();
  }
  const auto dimensions = [&](const char* name, const std::vector<report_dimension>& list) {
    json.key(name).begin_array();
    for (const report_dimension& d : list) {
      json.begin_object().field("dimension", d.dimension).field("layer", d.layer).field("F", d.f);
      json.field("F_on_other_half", d.f_of_others).field("p_over_all", d.p).end_object();
    }
    json.end_array();
  };
  json.end_array().key("separating_dimensions").begin_array();
  for (const report_streams& streams : study.streams) {
    json.begin_object().field("site", streams.site).field("F_by_chance", streams.level);
    dimensions("best", streams.best);
    dimensions("best_by_layer", streams.best_by_layer);
    json.end_object();
  }
  json.end_array();
  for (const auto& [name, content] : more) json.key(name).raw(content);
  if (!run.empty()) json.key("run").raw(run);
  json.end_object();
  write_file(path, json.text() + "\n");
}

}  // namespace optscope::plot
