// SPDX-License-Identifier: MIT
#pragma once
// The report and the summary of `compare`.
#include <algorithm>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/similarity/points.hpp>
#include <string>
#include <vector>

#include "support/shown.hpp"

namespace compare {

using namespace optscope;

/// What `compare` computed, and what it says of the run.
struct results {
  std::string model{};
  std::vector<plot::report::fact> facts{};
  std::vector<activation_point> points{};
  std::vector<point_similarities> found{};
  std::vector<std::string> limits{};
};

/// Consecutive points of one site and model, heads by layer: `resid_post@2` of `resid_post.3@2`, `z.3` of `z.3.5`.
inline std::vector<plot::row_group> groups_of(const std::vector<activation_point>& points) {
  std::vector<plot::row_group> groups;
  for (const activation_point& each : points) {
    const std::size_t second = each.name.find('@');
    const std::string group =
        each.name.substr(0, each.name.rfind('.')) + (second == std::string::npos ? "" : each.name.substr(second));
    if (groups.empty() || groups.back().name != group) groups.push_back({.name = group, .size = 0});
    ++groups.back().size;
  }
  return groups;
}

using program::number;

/// Each point's most similar other point under each metric.
inline void add_nearest(plot::report& page, const results& all) {
  std::vector<std::string> columns{"point"};
  for (const point_similarities& each : all.found) columns.push_back("most alike by " + each.metric);
  std::vector<std::vector<std::string>> rows;
  for (std::size_t i = 0; i < all.points.size(); ++i) {
    std::vector<std::string>& row = rows.emplace_back(std::vector{all.points[i].name});
    for (const point_similarities& each : all.found) {
      std::size_t best = i == 0 ? 1 : 0;
      for (std::size_t j = 0; j < all.points.size(); ++j) {
        const bool more =
            each.distance ? each.values(i, j) < each.values(i, best) : each.values(i, j) > each.values(i, best);
        if (j != i && more) best = j;
      }
      row.push_back(all.points[best].name + " (" + number(double{each.values(i, best)}) + ")");
    }
  }
  page.table("Nearest points", columns, rows);
}

inline plot::report make_report(const results& all) {
  plot::report page{"Comparison of activations", all.model};
  page.facts("Model and run", all.facts);
  if (!all.limits.empty()) page.notes("Limits", all.limits);
  for (const point_similarities& each : all.found) {
    plot::heatmap_options options;
    options.title = each.metric;
    options.value_label = each.metric;
    options.panel_titles = {""};
    options.groups = groups_of(all.points);
    page.picture(each.metric, finding_of(each, all.points), each.metric, plot::heatmap(each.values, options));
  }
  if (all.points.size() > 1) add_nearest(page, all);
  page.notes(
      "How to read this page",
      {"A point is a layer and site, or a head (z.LAYER.HEAD), over all texts and positions; @2 is of the second "
       "model. "
       "Rows and columns of a picture are the points in order: within a site by layer. All metrics compare the points "
       "as "
       "clouds of vectors, so a shift, a rotation or a factor makes no difference to cka, cka_debiased and procrustes, "
       "and points of different width compare.",
       "cka is the cosine of the matrices of all inner products; cka_debiased corrects it for few vectors and is 0 on "
       "average where there is nothing in common; procrustes is 1 - d²/2, d the distance that the best rotation "
       "leaves; "
       "svcca is the mean canonical correlation of the components that hold 99 % of the variance; subspace_angles is "
       "the "
       "mean angle, in radians, between the first ten principal components of each: 0 is alike, 1.57 is not.",
       "The level of chance is of points whose texts were exchanged, so that different texts stand side by side: what "
       "is left is what any two texts have in common, such as the position."});
  return page;
}

inline std::string summary_of(const results& all, const std::string& run) {
  json_writer json;
  json.begin_object().field("model", all.model).key("facts").begin_object();
  for (const auto& [name, value] : all.facts) json.field(name, value);
  json.end_object().key("points").begin_array();
  for (const activation_point& each : all.points) json.value(each.name);
  json.end_array().key("metrics").begin_array();
  for (const point_similarities& each : all.found) {
    json.begin_object().field("metric", each.metric).field("file", "data/" + each.metric + ".npy");
    json.field("distance", each.distance).field("pairs_above_chance", each.above).key("chance").begin_object();
    json.field("exchanged_pairs", each.exchanged).field("median", each.typical).field("level", each.level);
    json.end_object().field("finding", finding_of(each, all.points)).end_object();
  }
  json.end_array().key("limits").begin_array();
  for (const std::string& each : all.limits) json.value(each);
  json.end_array().key("run").raw(run).end_object();
  return json.text() + "\n";
}

}  // namespace compare
