// SPDX-License-Identifier: MIT
#pragma once
// The report and the summary of `map`.
#include <cmath>
#include <cstdio>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/points.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/reduction/scaling.hpp>
#include <optscope/reduction/trustworthiness.hpp>
#include <optscope/similarity/blocks.hpp>
#include <string>
#include <vector>

#include "support/shown.hpp"

namespace maps {

using namespace optscope;

/// The map of one layer.
struct layer_map {
  std::string name{};
  tensor<double, 2> points{};  ///< (vector, dimension)
  bool flat = false;           ///< all vectors are equal
  trust_level trust{};         ///< of no neighbours if there are too few vectors
  stress_level stress{};
  double share = 0, share_by_chance = 0;           ///< of the variance, in pca
  std::size_t time = 0, landmarks = 0, parts = 0;  ///< of phate
  bool converged = true;
  block_summary blocks{};
};

using program::number;
inline std::string percent(double share) {
  char text[40];
  return std::snprintf(text, sizeof text, "%.0f %%", 100 * share) > 0 ? std::string{text} : std::string{};
}

/// What `map` computed, and what it says of the run.
struct results {
  std::string model{}, method{}, site{};
  std::vector<plot::report::fact> facts{};
  std::vector<plot::report_text> texts{};
  std::vector<plot::report_vector> vectors{};
  std::vector<layer_map> layers{};
  std::vector<std::string> limits{};
  std::size_t memory = 0;

  /// How good a map is, each number with what there is by chance.
  [[nodiscard]] std::string quality_of(const layer_map& of) const {
    if (of.flat) return "All vectors are equal: there is nothing to map.";
    std::string text;
    if (of.trust.neighbours > 0) {
      text += "Trustworthiness " + number(of.trust.value) + " (by chance " + number(of.trust.by_chance) + "). ";
    }
    text += std::string{of.landmarks > 0 ? "Stress of the landmarks " : "Stress "} + number(of.stress.value) +
            " (by chance " + number(of.stress.by_chance) + "). ";
    if (method == "pca") {
      return text + percent(of.share) + " of the variance (by chance " + percent(of.share_by_chance) + ").";
    }
    text += std::to_string(of.time) + (of.time == 1 ? " step" : " steps");
    if (of.landmarks > 0) text += ", " + std::to_string(of.landmarks) + " landmarks";
    if (of.parts > 1) text += ", " + std::to_string(of.parts) + " parts without a path between them";
    return text + ".";
  }

  /// Whether texts of a category lie together.
  [[nodiscard]] std::string categories_of(const layer_map& of) const {
    const block_summary& found = of.blocks;
    if (of.flat || found.test.labelings == 0) return "Categories cannot be compared here.";
    std::string text = "Two texts of a category are nearer than two of different ones in " + percent(found.effect) +
                       " of comparisons (by chance 50 %";
    if (!std::isnan(found.effect_low)) {
      text += "; 95 % interval " + percent(found.effect_low) + " to " + percent(found.effect_high);
    }
    return text + "), p = " + number(found.test.p_over_all) + " over all maps.";
  }
  [[nodiscard]] std::string sentence_of(const layer_map& of) const {
    return of.flat ? quality_of(of) : quality_of(of) + " " + categories_of(of);
  }

  /// How many maps tell the categories apart, in a sentence.
  [[nodiscard]] std::string finding() const {
    std::size_t apart = 0, tested = 0, labelings = 0;
    double smallest = 1;
    bool exact = false;
    for (const layer_map& each : layers) {
      const label_test& test = each.blocks.test;
      if (each.flat || test.labelings == 0) continue;
      ++tested;
      labelings = test.labelings;
      smallest = test.smallest_p;
      exact = test.exact;
      apart += test.p_over_all < 0.05 ? 1 : 0;
    }
    if (tested == 0) {
      return "Whether texts of one category lie together cannot be tested: that takes two categories, one of them with "
             "two texts, and vectors that differ.";
    }
    const std::string test =
        " (p below 0.05 over all maps, by " + std::string{exact ? "all " : "a sample of "} + std::to_string(labelings) +
        " ways to give the categories to the texts; no p of so few texts can be below " + number(smallest) + ").";
    if (tested == 1) {
      return std::string{apart == 0 ? "In the map texts of one category do not" : "In the map texts of one category"} +
             " lie together" + test;
    }
    return "In " + (apart == 0 ? std::string{"none"} : std::to_string(apart)) + " of " + std::to_string(tested) +
           " maps " + (apart == 0 ? "do texts" : "texts") + " of one category lie together" + test;
  }

  void find_limits() {
    std::string flat, open;
    for (const layer_map& each : layers) {
      if (each.flat) flat += (flat.empty() ? "" : ", ") + each.name;
      if (!each.converged) open += (open.empty() ? "" : ", ") + each.name;
    }
    if (!flat.empty()) limits.push_back("All vectors are equal in " + flat + ": there is nothing to map.");
    if (!open.empty()) limits.push_back("The scaling did not converge in " + open + ": the stress may be too high.");
    if (vectors.size() < 3) limits.push_back("Trustworthiness needs three vectors.");
    bool first = false, others = false;
    for (const plot::report_vector& each : vectors) (each.position == 0 ? first : others) = true;
    if (first && others && texts.size() > 1) {
      limits.push_back(
          "Position 0 is among the positions. If all texts begin with the same token, its vectors are equal, and in "
          "most models far from all others: --positions 1: leaves it out.");
    }
  }
};

inline plot::report make_report(const results& all) {
  const bool pca = all.method == "pca";
  plot::report page{std::string{pca ? "Principal components" : "PHATE"} + " of " + all.site, all.model};
  page.facts("Model and run", all.facts);
  if (!all.limits.empty()) page.notes("Limits", all.limits);
  plot::mapped_points shown{.texts = all.texts, .vectors = all.vectors};
  for (std::size_t k = 0; !all.layers.empty() && k < all.layers[0].points.cols(); ++k) {
    shown.axes.push_back((pca ? "component " : "PHATE ") + std::to_string(k + 1));
  }
  std::vector<std::vector<std::string>> rows;
  for (const layer_map& each : all.layers) {
    tensor<float, 2> points{each.points.shape()};
    for (std::size_t k = 0; k < points.size(); ++k) points.data()[k] = static_cast<float>(each.points.data()[k]);
    shown.panels.push_back({.title = each.name, .points = std::move(points), .note = all.sentence_of(each)});
    const auto with_chance = [](double value, double chance) { return number(value) + " (" + number(chance) + ")"; };
    const bool tested = !each.flat && each.blocks.test.labelings > 0;
    rows.push_back({each.name, each.trust.neighbours > 0 ? with_chance(each.trust.value, each.trust.by_chance) : "none",
                    each.flat ? "none" : with_chance(each.stress.value, each.stress.by_chance),
                    pca ? percent(each.share) + " (" + percent(each.share_by_chance) + ")" : std::to_string(each.time),
                    tested ? percent(each.blocks.effect) : "none",
                    tested ? number(each.blocks.test.p_over_all) : "none"});
  }
  plot::add_points(page, std::string{"Maps by "} + (pca ? "principal components" : "PHATE"), all.finding(),
                   all.method + "-" + all.site, shown);
  page.table("How far to trust each map",
             {"map", "trustworthiness (by chance)", "stress (by chance)",
              pca ? "share of the variance (by chance)" : "steps", "nearer within a category (by chance 50 %)", "p"},
             rows);
  plot::add_texts(page, all.texts);
  page.notes(
      "How to read this page",
      {pca ? "A dot is a position of a text. The axes are the directions in which the vectors of a layer vary most, so "
             "what is far apart in a map is far apart, but what is near in it may differ in other directions."
           : "A dot is a position of a text. PHATE (Moon et al. 2019) looks at where a random walk between near "
             "vectors gets to from each of them, and puts those near each other that get to the same places. Branches "
             "and clusters mean something; the axes, and distances between parts without a path, do not.",
       "Trustworthiness is 1 if the nearest neighbours in the map are nearest neighbours among the vectors. Stress is "
       "0 if distances in the map are " +
           std::string{pca ? "those of the vectors" : "those of the random walk's potential"} +
           ". What they are by chance is their expectation if the dots of the map are exchanged at random" +
           (pca ? "; of the share of the variance, if the values of each dimension are exchanged among the vectors."
                : "."),
       "Whether categories lie together: the mean distance in the map of every two texts. p is the share of ways to "
       "give the categories to the texts for which pairs within a category are at least as much nearer than others, "
       "the largest of all maps being compared. Texts must be independent documents. Maps of neighbouring layers are "
       "mirrored so that they agree; otherwise each is by itself."});
  return page;
}

inline std::string summary_of(const results& all, const std::string& run) {
  json_writer json;
  json.begin_object().field("model", all.model).field("method", all.method).field("site", all.site);
  json.field("file", "data/" + all.method + "-" + all.site + ".npy").key("facts").begin_object();
  for (const auto& [name, value] : all.facts) json.field(name, value);
  json.end_object().field("memory_bytes", all.memory).field("finding", all.finding()).key("maps").begin_array();
  for (const layer_map& each : all.layers) {
    json.begin_object()
        .field("name", each.name)
        .field("equal_vectors", each.flat)
        .key("trustworthiness")
        .begin_object();
    json.field("neighbours", each.trust.neighbours).field("value", each.trust.value);
    json.field("by_chance", each.trust.by_chance).end_object().key("stress").begin_object();
    json.field("value", each.stress.value).field("by_chance", each.stress.by_chance).end_object();
    if (all.method == "pca") {
      json.key("variance").begin_object().field("share", each.share).field("by_chance", each.share_by_chance);
      json.end_object();
    } else {
      json.field("steps", each.time).field("landmarks", each.landmarks).field("parts", each.parts);
      json.field("converged", each.converged);
    }
    json.key("categories").begin_object().field("nearer_within", each.blocks.effect).field("by_chance", 0.5);
    json.field("low", each.blocks.effect_low).field("high", each.blocks.effect_high);
    json.field("p", each.blocks.test.p).field("p_over_all", each.blocks.test.p_over_all);
    json.field("labelings", each.blocks.test.labelings).end_object().end_object();
  }
  json.end_array().key("vectors").begin_array();
  for (const plot::report_vector& each : all.vectors)
    json.begin_array().value(each.text).value(each.position).end_array();
  json.end_array().key("limits").begin_array();
  for (const std::string& each : all.limits) json.value(each);
  json.end_array().key("run").raw(run).end_object();
  return json.text() + "\n";
}

}  // namespace maps
