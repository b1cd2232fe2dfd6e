// SPDX-License-Identifier: MIT
#pragma once
// Single heads in `study`: a page of all of them, pictures, and their part of the summary.
#include <algorithm>
#include <array>
#include <cmath>
#include <optscope/core/json_writer.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/palette.hpp>
#include <optscope/plot/study_report.hpp>
#include <string>
#include <vector>

#include "study_heads.hpp"
#include "support/shown.hpp"

namespace study_heads {

using program::number;

/// How the columns of the page and the findings call a measure.
inline const std::array<std::string, 5> names_of_measures{"first position", "previous token", "same token", "induction",
                                                          "entropy (nats)"};

/// Heads that separate the categories better than chance.
inline std::size_t found_of(const of_metric& metric) {
  return static_cast<std::size_t>(std::ranges::count_if(metric.blocks, [](const block_summary& each) {
    return each.test.labelings > 0 && each.test.p_over_all <= 0.05;
  }));
}

/// What the test of all heads under one metric finds, in a sentence or two.
inline std::string finding_of(const results& all, const of_metric& metric) {
  const block_summary& best = metric.blocks[metric.order[0]];
  if (best.test.labelings == 0) {
    return metric.name + ": heads are not tested: that takes two categories, and two texts in one.";
  }
  if (best.test.smallest_p > 0.05) {
    return metric.name + ": too few texts to tell whether heads separate the categories: no p can be below " +
           number(best.test.smallest_p) + ".";
  }
  const std::string level = ". With exchanged labels the largest score of all heads and metrics exceeds " +
                            number(best.test.level) + " in 5 % of the cases (" + std::to_string(best.test.labelings) +
                            " labellings of the texts).";
  const std::size_t found = found_of(metric);
  if (found == 0) {
    return metric.name +
           ": no head separates the categories better than the best of all does by chance: the largest score is " +
           number(best.test.score) + ", of head " + all.name_of(metric.order[0]) + level;
  }
  std::string text = metric.name + ": " + std::to_string(found) + " of " + std::to_string(all.count()) +
                     " heads separate the categories better than the best of all does by chance; first";
  for (std::size_t i = 0; i < std::min<std::size_t>(found, 3); ++i) {
    const block_summary& each = metric.blocks[metric.order[i]];
    text += (i == 0 ? " " : ", ") + all.name_of(metric.order[i]) + " (score " + number(each.test.score) +
            ", a pair of texts of one category is the more alike in " + number(100 * each.effect) + " %)";
  }
  return text + level;
}

/// Heads with the largest value of a measure, first to last.
inline std::vector<std::size_t> largest(const results& all, attention_measure which) {
  std::vector<double> values;
  for (const attention_mean& each : all.attention[static_cast<std::size_t>(which)]) values.push_back(each.mean);
  return indices_of_largest(values, values.size());
}

/// What heads attend to, a sentence for each measure of which heads with a large value are a kind of their own, and one
/// on differences between categories.
inline std::vector<std::string> findings_of_attention(const results& all) {
  std::vector<std::string> text;
  for (const attention_measure which :
       {attention_measure::first, attention_measure::previous, attention_measure::same, attention_measure::induction}) {
    const auto m = static_cast<std::size_t>(which);
    if (all.measured[m] == 0) {
      text.push_back(names_of_measures[m] + ": the texts have no such position.");
      continue;
    }
    std::string sentence = names_of_measures[m] + ": most of all";
    const std::vector<std::size_t> order = largest(all, which);
    for (std::size_t i = 0; i < std::min<std::size_t>(order.size(), 3); ++i) {
      const attention_mean& each = all.attention[m][order[i]];
      sentence += (i == 0 ? " " : ", ") + all.name_of(order[i]) + " (" + number(100 * each.mean) + " %)";
    }
    text.push_back(sentence + "; attention to all positions alike has " + number(100 * all.uniform[m]) + " % (" +
                   std::to_string(all.measured[m]) +
                   (which == attention_measure::induction ? " texts of random tokens)." : " texts)."));
  }
  std::vector<std::pair<double, std::string>> different;  // p, of what
  bool tested = false;
  for (std::size_t m = 0; m < all.attention.size(); ++m) {
    for (std::size_t head = 0; head < all.count(); ++head) {
      const double p = all.attention[m][head].p;
      tested = tested || !std::isnan(p);
      if (p <= 0.05) {
        different.emplace_back(p, all.name_of(head) + " in " + names_of_measures[m] + " (p " + number(p) + ")");
      }
    }
  }
  std::ranges::stable_sort(different, {}, [](const auto& each) { return each.first; });
  const std::size_t count = different.size();
  std::string names;
  for (std::size_t i = 0; i < std::min<std::size_t>(count, 4); ++i) names += (i == 0 ? "" : ", ") + different[i].second;
  if (!tested) {
    text.push_back(
        "Differences between categories are not tested: that takes two of them, and more texts than categories.");
  } else if (count == 0) {
    text.push_back(
        "No head attends differently in the categories, beyond what the most different of all heads and measures does "
        "by chance.");
  } else {
    text.push_back("Heads attend differently in the categories, corrected for all heads and measures: " + names +
                   (count > 4 ? ", and " + std::to_string(count - 4) + " more." : "."));
  }
  return text;
}

inline std::vector<std::string> findings(const results& all) {
  std::vector<std::string> text;
  for (const of_metric& each : all.metrics) text.push_back(finding_of(all, each));
  const std::vector<std::string> attention = findings_of_attention(all);
  text.insert(text.end(), attention.begin(), attention.end());
  return text;
}

/// All heads in numbers, those that separate the categories best under the first metric first.
inline void add_table(plot::report& page, const results& all) {
  std::vector<std::string> columns{"head"};
  for (const of_metric& each : all.metrics) {
    columns.push_back("score, " + each.name);
    columns.push_back("p");
    columns.push_back("more alike, %");
  }
  for (const std::string& name : names_of_measures) columns.push_back(name);
  std::vector<std::vector<std::string>> rows;
  for (const std::size_t head : all.metrics[0].order) {
    std::vector<std::string>& row = rows.emplace_back(std::vector{all.name_of(head)});
    for (const of_metric& each : all.metrics) {
      const block_summary& blocks = each.blocks[head];
      const bool tested = blocks.test.labelings > 0;
      row.push_back(tested ? number(blocks.test.score) : "none");
      row.push_back(tested ? number(blocks.test.p_over_all) : "none");
      row.push_back(number(100 * blocks.effect));
    }
    for (const auto& measure : all.attention) row.push_back(number(measure[head].mean));
  }
  page.table("All heads in numbers", columns, rows);
}

/// The heads with the largest values of a measure, by category.
inline void add_attention(plot::report& page, const results& all, const std::vector<plot::row_group>& categories) {
  constexpr std::size_t shown = 8;
  for (std::size_t m = 0; m < all.attention.size(); ++m) {
    if (all.measured[m] == 0) continue;
    std::vector<std::string> columns{"head", "mean", "95 % over texts", "all positions alike"};
    const bool by_category = !all.attention[m][0].of_category.empty();
    for (std::size_t c = 0; by_category && c < categories.size(); ++c) columns.push_back(categories[c].name);
    if (by_category) columns.push_back("p of a difference");
    std::vector<std::vector<std::string>> rows;
    const std::vector<std::size_t> order = largest(all, static_cast<attention_measure>(m));
    for (std::size_t i = 0; i < std::min(shown, order.size()); ++i) {
      const attention_mean& each = all.attention[m][order[i]];
      std::vector<std::string>& row =
          rows.emplace_back(std::vector{all.name_of(order[i]), number(each.mean),
                                        number(each.low) + " to " + number(each.high), number(all.uniform[m])});
      for (const double value : each.of_category) row.push_back(number(value));
      if (by_category) row.push_back(std::isnan(each.p) ? "" : number(each.p));
    }
    page.table("Attention: " + names_of_measures[m], columns, rows);
  }
}

/// The page of all heads.
inline plot::report make_page(const results& all, const plot::study_report& study) {
  plot::report page{"Single heads", study.model};
  std::vector<plot::report::fact> facts = study.facts;
  facts.emplace_back("heads", std::to_string(all.count()));
  page.facts("Model and run", facts);
  page.notes("What is found", findings(all));
  plot::add_texts(page, study.texts);
  std::vector<plot::report_item_matrices> lists;
  std::vector<std::string> names;
  for (std::size_t head = 0; head < all.count(); ++head) names.push_back("head " + all.name_of(head));
  for (const of_metric& each : all.metrics) {
    plot::report_item_matrices& list = lists.emplace_back();
    list = {
        .metric = each.name, .values = each.similarity, .order = each.order, .names = names, .found = found_of(each)};
    for (const block_summary& blocks : each.blocks) {
      list.notes.push_back(blocks.test.labelings == 0 ? "not tested" : number(blocks.test.score));
    }
  }
  plot::report_item_matrices values = lists[0];
  values.metric = "values";
  values.values = {all.z.data(), {all.count(), all.z.extent(2), all.z.extent(3)}};
  values.dimensions = true;
  lists.push_back(values);
  const label_test& test = all.metrics[0].blocks[all.metrics[0].order[0]].test;
  const std::string level = test.labelings == 0
                                ? ""
                                : " Next to a head is its score; heads with a pale name have one below " +
                                      number(test.level) +
                                      ", which the best of all heads and metrics exceeds by chance in 5 %.";
  plot::add_items(page, "All heads",
                  "The output z of every head: the similarity of every pair of vectors, and the values. Heads that "
                  "separate the categories best come first." +
                      level,
                  study, "z", "head", lists);
  add_table(page, all);
  add_attention(page, all, plot::groups_of(study.texts));
  page.notes(
      "How to read this page",
      {"A head is LAYER.HEAD. Its z is what it takes from the tokens that it attends to, before W_O: one vector for "
       "each text and position.",
       "score: the mean similarity of texts within categories minus that between them, in standard deviations over "
       "exchanges of the texts' categories. p is corrected for all heads and metrics: the share of exchanges under "
       "which the best of them has at least this score. More alike: how often a pair of texts of one category is more "
       "alike than a pair of two, 50 % by chance. Names of columns sort the table.",
       "Attention is a mean over all positions of a text but the first, then over texts. First position: attention to "
       "BOS. Previous token: to the position before. Same token: to earlier positions of the same token, where there "
       "are any. Entropy: of the weights; attention to all positions alike has the largest. Induction: in " +
           std::to_string(all.repeats) + " texts of " + std::to_string(all.repeated_tokens) +
           " random tokens that come twice, attention to the position that follows the earlier one of the same token. "
           "The column \"all positions alike\" is what attention has that does not choose.",
       "p of a difference is for the ten heads of each measure that differ most between the categories, corrected for "
       "all heads and all measures but induction; where every category has four texts, it is of every second one."});
  return page;
}

/// Pictures of the heads: scores of all, attention of all, and the two of each of `drawn`.
inline void add_pictures(plot::report& page, const results& all, const plot::study_report& study,
                         const std::vector<std::size_t>& drawn) {
  for (const of_metric& each : all.metrics) {
    plot::line_series scores{.name = "score of a head", .colour = plot::hue(0)},
        level{.name = "5 % level of the best by chance", .colour = plot::hue(1), .dashed = true};
    for (std::size_t i = 0; i < each.order.size(); ++i) {
      const label_test& test = each.blocks[each.order[i]].test;
      if (test.labelings == 0) continue;
      scores.x.push_back(static_cast<double>(i + 1));
      scores.y.push_back(test.score);
      level.y.push_back(test.level);
    }
    level.x = scores.x;
    if (scores.x.empty()) continue;
    const plot::line_panel panel{.series = {scores, level}};
    page.picture_file("heads-" + each.name,
                      plot::lines({&panel, 1}, {.title = "How well heads separate the categories, " + each.name,
                                                .x_label = "rank of the head",
                                                .y_label = "score"}));
  }
  tensor<float, 3> maps{{all.attention.size(), all.layers.size(), all.heads}};
  std::vector<std::string> titles;
  for (std::size_t m = 0; m < all.attention.size(); ++m) {
    const bool entropy = static_cast<attention_measure>(m) == attention_measure::entropy;
    for (std::size_t head = 0; head < all.count(); ++head) {
      const double value = all.attention[m][head].mean;
      maps(m, head / all.heads, head % all.heads) = static_cast<float>(entropy ? value / all.uniform[m] : value);
    }
    titles.push_back(entropy ? "entropy / largest" : names_of_measures[m]);
  }
  std::vector<std::string> rows, columns;
  for (const std::size_t layer : all.layers) rows.push_back("layer " + std::to_string(layer));
  for (std::size_t head = 0; head < all.heads; ++head) columns.push_back("head " + std::to_string(head));
  page.picture_file("heads-attention", plot::heatmap(maps.view(), {.title = "What heads attend to",
                                                                   .value_label = "share of attention",
                                                                   .panel_titles = titles,
                                                                   .row_labels = rows,
                                                                   .column_labels = columns,
                                                                   .range = plot::value_range{0, 1},
                                                                   .columns = 3}));
  const std::size_t vectors = all.z.extent(2), width = all.z.extent(3);
  for (const std::size_t head : drawn) {
    plot::heatmap_options options{.groups = plot::groups_of(study.texts, study.positions.size())};
    for (const of_metric& each : all.metrics) {
      options.title = "z of head " + all.name_of(head) + ", " + each.name;
      options.value_label = each.name;
      page.picture_file(
          "z-" + all.name_of(head) + "-" + each.name,
          plot::heatmap(tensor_view<const float, 2>{each.similarity.row(head).data(), {vectors, vectors}}, options));
    }
    options.title = "z of head " + all.name_of(head);
    options.value_label = "value";
    options.groups_of_rows = true;
    page.picture_file(
        "z-" + all.name_of(head) + "-values",
        plot::heatmap(tensor_view<const float, 2>{all.z.data() + head * vectors * width, {vectors, width}}, options));
  }
}

/// What summary.json has of single heads.
inline std::string summary_of(const results& all, const plot::study_report& study) {
  const std::vector<plot::row_group> categories = plot::groups_of(study.texts);
  json_writer json;
  json.begin_object().key("findings").begin_array();
  for (const std::string& each : findings(all)) json.value(each);
  json.end_array().key("separation").begin_array();
  for (const of_metric& each : all.metrics) {
    const label_test& test = each.blocks[each.order[0]].test;
    json.begin_object().field("metric", each.name).field("labelings", test.labelings).field("exact", test.exact);
    json.field("smallest_p", test.smallest_p).field("score_by_chance", test.labelings == 0 ? std::nan("") : test.level);
    json.field("found", found_of(each)).key("heads").begin_array();
    for (const std::size_t head : each.order) {
      const block_summary& blocks = each.blocks[head];
      const bool tested = blocks.test.labelings > 0;
      json.begin_object().field("layer", all.layers[head / all.heads]).field("head", head % all.heads);
      json.field("score", tested ? blocks.test.score : std::nan(""));
      json.field("p", tested ? blocks.test.p : std::nan(""));
      json.field("p_over_all", tested ? blocks.test.p_over_all : std::nan(""));
      json.field("more_alike", blocks.effect).key("more_alike_interval").begin_array();
      json.value(blocks.effect_low).value(blocks.effect_high).end_array().end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().key("attention").begin_array();
  for (std::size_t m = 0; m < all.attention.size(); ++m) {
    json.begin_object().field("measure", attention_measures[m]).field("texts", all.measured[m]);
    json.field("all_positions_alike", all.uniform[m]).key("heads").begin_array();
    for (std::size_t head = 0; head < all.count(); ++head) {
      const attention_mean& each = all.attention[m][head];
      json.begin_object().field("layer", all.layers[head / all.heads]).field("head", head % all.heads);
      json.field("mean", each.mean).key("interval").begin_array().value(each.low).value(each.high).end_array();
      if (!each.of_category.empty()) {
        json.key("by_category").begin_object();
        for (std::size_t c = 0; c < each.of_category.size(); ++c) json.field(categories[c].name, each.of_category[c]);
        json.end_object().field("p_over_all", each.p);
      }
      json.end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  return json.text();
}

}  // namespace study_heads
