// SPDX-License-Identifier: MIT
#pragma once
// Bodies of study_report.hpp.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optscope/core/json_writer.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/palette.hpp>
#include <optscope/plot/streams.hpp>
#include <optscope/plot/study_report.hpp>
#include <string_view>

namespace optscope::plot {

OPTSCOPE_INLINE std::vector<row_group> groups_of(const std::vector<report_text>& texts, std::size_t rows) {
  std::vector<row_group> groups;
  for (const report_text& text : texts) {
    if (groups.empty() || groups.back().name != text.category) groups.push_back({.name = text.category, .size = 0});
    groups.back().size += rows;
  }
  return groups;
}

OPTSCOPE_INLINE void add_texts(report& page, const std::vector<report_text>& texts) {
  json_writer json = page.begin("texts", "Texts");
  json.key("texts").begin_array();
  const std::vector<row_group> groups = groups_of(texts);
  std::size_t first = 0;  // text of the category
  for (std::size_t category = 0; category < groups.size(); ++category) {
    for (std::size_t member = 0; member < groups[category].size; ++member) {
      const report_text& shown = texts[first + member];
      json.begin_object().field("category", shown.category).field("name", shown.name);
      json.field("firstWords", shown.first_words).field("tokens", shown.tokens);
      json.field("hue", hex(hue(category))).field("colour", hex(shade(category, member, groups[category].size)));
      json.end_object();
    }
    first += groups[category].size;
  }
  json.end_array();
  page.end(json);
}

namespace detail {

inline void write_sets(json_writer& json, const std::vector<report_vector_set>& sets) {
  json.key("sets").begin_array();
  for (const report_vector_set& set : sets) {
    json.begin_object().field("name", set.name).key("vectors").begin_array();
    for (const report_vector& vector : set.vectors)
      json.begin_array().value(vector.text).value(vector.position).value(vector.token).end_array();
    json.end_array().end_object();
  }
  json.end_array();
}

/// Whether the page has room for these matrices next to the others.
inline bool fits(const report_matrices& matrices, const study_report& study) {
  return matrices.values.size() * sizeof(float) <= study.matrix_bytes / study.matrices.size();
}

inline void add_matrices(report& page, const study_report& study) {
  json_writer json = page.begin("matrices", "Similarity of every pair");
  json.list("layers", study.layers);
  write_sets(json, study.sets);
  json.key("matrices").begin_array();
  for (const report_matrices& matrices : study.matrices) {
    if (!fits(matrices, study)) continue;
    std::vector<float> packed;
    for (std::size_t layer = 0; layer < matrices.values.rows(); ++layer)
      packed.insert(packed.end(), matrices.values.row(layer).begin(), matrices.values.row(layer).end());
    json.begin_object().field("site", matrices.site).field("metric", matrices.metric).field("set", matrices.set);
    json.field("size", matrices.values.extent(1)).key("values").raw(page.float32(packed)).end_object();
  }
  json.end_array();
  page.end(json);
}

inline void add_curves(report& page, const study_report& study) {
  json_writer json = page.begin("curves", "Similarity by layer");
  json.list("layers", study.layers);
  json.key("curves").begin_array();
  for (const report_curves& curves : study.curves) {
    json.begin_object().field("site", curves.site).field("metric", curves.metric);
    json.list("withinText", curves.within_text);
    json.list("withinCategory", curves.within_category);
    json.list("between", curves.between_categories);
    json.key("each").begin_array();
    const std::vector<row_group> groups = groups_of(study.texts);
    for (std::size_t c = 0; c < curves.within_each.size() && c < groups.size(); ++c) {
      json.begin_object().field("name", groups[c].name);
      json.list("values", curves.within_each[c]);
      json.end_object();
    }
    json.end_array();
    json.list("p", curves.p_over_all);
    json.list("pHolm", curves.p_holm);
    json.list("pAlone", curves.p_value);
    json.list("pMeans", curves.means_p_over_all);
    json.list("effect", curves.effect);
    json.list("effectLow", curves.effect_low);
    json.list("effectHigh", curves.effect_high);
    json.key("lowRank").begin_array();
    for (const report_low_rank& each : curves.low_rank) {
      json.begin_array().value(each.rank).value(each.finding).end_array();
    }
    json.end_array().field("finding", finding_of(curves, study.layers)).field("smallest", curves.smallest_p);
    json.field("labelings", curves.labelings).field("exact", curves.exact).end_object();
  }
  json.end_array();
  page.end(json);
}

inline std::string three_digits(double value) {
  char buffer[40];
  return std::snprintf(buffer, sizeof buffer, "%.3g", value) > 0 ? std::string{buffer} : std::string{};
}

/// What the F of the best dimensions is worth, in a sentence.
inline std::string chance_of(const report_streams& streams) {
  if (std::isnan(streams.level) || streams.best.empty()) return "";
  const auto& number = three_digits;
  const auto above = static_cast<std::size_t>(
      std::ranges::count_if(streams.best, [](const report_dimension& each) { return each.p <= 0.05; }));
  const std::string level = number(streams.level);
  if (above == 0) {
    return "No dimension separates the categories better than chance: the largest F is " + number(streams.best[0].f) +
           ", and with exchanged labels the largest exceeds " + level + " in 5 % of the cases.";
  }
  std::string text = std::to_string(above) + (above == streams.best.size() ? " or more" : "") +
                     " dimensions have an F above " + level +
                     ", which the largest F with exchanged labels exceeds in 5 % of the cases.";
  if (std::isnan(streams.best[0].f_of_others)) return text;
  text += " F is of one half of the texts; on the other half the first of the list have";
  for (std::size_t i = 0; i < std::min<std::size_t>(above, 5); ++i) {
    text += (i == 0 ? " " : ", ") + number(streams.best[i].f_of_others);
  }
  return text + ".";
}

inline void add_streams(report& page, const study_report& study) {
  json_writer json = page.begin("streams", "Streams");
  json.list("layers", study.layers);
  json.list("positions", study.positions);
  json.key("sites").begin_array();
  for (const report_streams& streams : study.streams) {
    if (streams.values.size() == 0) continue;
    const auto& shape = streams.values.shape();
    const std::size_t lines = shape[0] * shape[1] * shape[2], hidden = shape[3];
    const std::size_t room = study.stream_bytes / study.streams.size() / (2 * std::max<std::size_t>(lines, 1));

    std::vector<std::size_t> kept;  // dimensions in the page
    if (room >= hidden) {
      kept.resize(hidden);
      std::iota(kept.begin(), kept.end(), std::size_t{0});
    } else {
      for (const auto* ranked : {&streams.best, &streams.best_by_layer}) {
        for (const report_dimension& best : *ranked) {
          const bool known = std::find(kept.begin(), kept.end(), best.dimension) != kept.end();
          if (kept.size() < room && best.dimension < hidden && !known) kept.push_back(best.dimension);
        }
      }
      if (kept.empty()) {  // no dimension was ranked
        kept.resize(std::min(std::max<std::size_t>(room, 1), hidden));
        std::iota(kept.begin(), kept.end(), std::size_t{0});
      }
      std::sort(kept.begin(), kept.end());
    }
    std::vector<float> values;  // (dimension, layer, text, position)
    values.reserve(kept.size() * lines);
    for (const std::size_t dimension : kept)
      for (std::size_t layer = 0; layer < shape[0]; ++layer)
        for (std::size_t i = 0; i < shape[1] * shape[2]; ++i)
          values.push_back(streams.values.row(layer)[i * hidden + dimension]);

    json.begin_object().field("site", streams.site).field("file", streams.file).field("hidden", hidden);
    json.field("level", streams.level).field("chance", chance_of(streams));
    json.list("kept", kept);
    for (const auto& [name, ranked] : {std::pair{"best", &streams.best}, {"bestByLayer", &streams.best_by_layer}}) {
      json.key(name).begin_array();
      for (const report_dimension& best : *ranked) {
        if (!std::binary_search(kept.begin(), kept.end(), best.dimension)) continue;
        json.begin_array().value(best.dimension).value(best.layer).value(best.f).end_array();
      }
      json.end_array();
    }
    json.key("values").raw(page.float16(values)).end_object();
  }
  json.end_array();
  page.end(json);
}

inline line_panel curves_panel(const study_report& study, const report_curves& curves) {
  const std::vector<double> layers{study.layers.begin(), study.layers.end()};
  return {.series = {{.name = "within a text", .x = layers, .y = curves.within_text, .colour = hue(0)},
                     {.name = "within a category", .x = layers, .y = curves.within_category, .colour = hue(1)},
                     {.name = "between categories", .x = layers, .y = curves.between_categories, .colour = hue(2)}}};
}

inline void add_pictures(report& page, const study_report& study, const std::vector<std::size_t>& dimensions) {
  for (const report_matrices& matrices : study.matrices) {
    const std::size_t rows = matrices.values.extent(1) / study.texts.size();
    const bool one = matrices.set != study.sets.front().name;
    heatmap_options options;
    options.title = matrices.site + ", " + matrices.metric + (one ? ", " + matrices.set : "");
    options.value_label = matrices.metric;
    for (const std::size_t layer : study.layers) options.panel_titles.push_back("layer " + std::to_string(layer));
    options.groups = groups_of(study.texts, rows);
    page.picture_file(matrices.site + "-" + matrices.metric + (one ? "-last" : ""), heatmap(matrices.values, options));
  }
  for (const report_curves& curves : study.curves) {
    const line_panel panel = detail::curves_panel(study, curves);
    page.picture_file("similarity-" + curves.site + "-" + curves.metric,
                      lines({&panel, 1}, {.title = curves.site + ", mean " + curves.metric, .y_label = curves.metric}));
  }
  for (const report_streams& streams : study.streams) {
    std::vector<std::size_t> drawn = dimensions;
    if (drawn.empty()) {
      for (const report_dimension& best : streams.best) {
        if (drawn.size() < 3) drawn.push_back(best.dimension);
      }
    }
    for (const std::size_t dimension : drawn) {
      streams_options options;
      options.title = streams.site + ", dimension " + std::to_string(dimension);
      options.y_label = "activation";
      options.categories = groups_of(study.texts);
      options.layers = study.layers;
      page.picture_file("stream-" + streams.site + "-" + std::to_string(dimension),
                        plot::streams(streams.values, dimension, options));
    }
  }
}

}  // namespace detail

OPTSCOPE_INLINE void add_items(report& page, std::string_view heading, std::string_view note, const study_report& study,
                               const std::string& site, const std::string& what,
                               const std::vector<report_item_matrices>& lists) {
  std::size_t bytes = 0, shown = 0;  // of one item under all metrics; items
  for (const report_item_matrices& list : lists) {
    bytes += sizeof(float) * list.values.extent(1) * list.values.extent(2);
    shown = std::max(shown, list.order.size());
  }
  if (shown == 0) return;
  shown = std::min(shown, std::max<std::size_t>(study.matrix_bytes / bytes, 1));
  json_writer json = page.begin("matrices", heading);
  std::string text{note};
  if (shown < lists[0].order.size()) {
    text += " The page has the first " + std::to_string(shown) + " of " + std::to_string(lists[0].order.size()) + " " +
            what + "s.";
  }
  json.field("note", text).field("what", what).key("layers").begin_array();
  for (std::size_t i = 0; i < shown; ++i) json.value(i);
  json.end_array();
  detail::write_sets(json, {study.sets.front()});
  json.key("matrices").begin_array();
  for (const report_item_matrices& list : lists) {
    json.begin_object().field("site", site).field("metric", list.metric).field("set", study.sets.front().name);
    json.field("size", list.values.extent(1)).field("columns", list.values.extent(2)).field("chance", list.found);
    json.field("dimensions", list.dimensions);
    std::vector<float> packed;
    for (const auto& [name, all] : {std::pair{"names", &list.names}, {"notes", &list.notes}}) {
      json.key(name).begin_array();
      for (std::size_t i = 0; i < shown; ++i) json.value((*all)[list.order[i]]);
      json.end_array();
    }
    for (std::size_t i = 0; i < shown; ++i) {
      const auto values = list.values.row(list.order[i]);
      packed.insert(packed.end(), values.begin(), values.end());
    }
    json.key("values").raw(page.float16(packed)).end_object();
  }
  json.end_array();
  page.end(json);
}

OPTSCOPE_INLINE std::string finding_of(const report_curves& curves, const std::vector<std::size_t>& layers) {
  if (layers.empty()) return "";
  if (curves.labelings == 0) return "Categories are not tested: that takes two of them, and two texts in one.";
  std::vector<std::size_t> found;
  std::size_t best = 0;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if (curves.p_over_all[i] <= 0.05) found.push_back(layers[i]);
    if (curves.p_over_all[i] < curves.p_over_all[best]) best = i;
  }
  if (curves.smallest_p > 0.05) {
    return "Too few texts to tell whether the categories separate: no p can be below " +
           detail::three_digits(curves.smallest_p) + ".";
  }
  std::string text;
  if (found.empty()) {
    text = "In no layer do the categories separate more than they do by chance in some layer, site or metric (p " +
           detail::three_digits(curves.p_over_all[best]) + " at least).";
  } else {
    text = "The categories separate in " + std::to_string(found.size()) + " of " + std::to_string(layers.size()) +
           (layers.size() == 1 ? " layer: " : " layers: ");
    for (std::size_t i = 0; i < found.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(found[i]);
    text += ".";
  }
  if (!found.empty() && !curves.effect.empty() && !std::isnan(curves.effect[best])) {
    const auto percent = [](double share) { return std::to_string(std::lround(100 * share)); };
    text += " In layer " + std::to_string(layers[best]) +
            " a pair of texts of one category is more alike than a pair of two in " + percent(curves.effect[best]) +
            " %";
    if (!std::isnan(curves.effect_low[best])) {
      text += " (95 % interval " + percent(curves.effect_low[best]) + " to " + percent(curves.effect_high[best]) + ")";
    }
    text += "; by chance in 50 %.";
  }
  return text;
}

OPTSCOPE_INLINE report make_report(const study_report& study, const std::vector<std::size_t>& dimensions) {
  report page{study.title, study.model};
  if (!study.facts.empty()) page.facts("Model and run", study.facts);
  if (!study.texts.empty()) add_texts(page, study.texts);
  const auto shown = std::count_if(study.matrices.begin(), study.matrices.end(),
                                   [&](const report_matrices& m) { return detail::fits(m, study); });
  if (shown != 0) detail::add_matrices(page, study);
  if (!study.curves.empty()) detail::add_curves(page, study);
  if (!study.streams.empty()) detail::add_streams(page, study);
  std::vector<std::string> notes{
      "A matrix compares every vector with every other. Rows and columns are the texts in order, and within a text its "
      "positions. A square on the diagonal that stands out shows that the texts of a category resemble each other.",
      "The curves are means of the matrices: over pairs of positions within one text, of texts within one category, "
      "and of texts from different categories. p is the share of exchanges of the texts' categories under which some "
      "layer, "
      "site or metric separates them at least as well: of many layers one alone would be below 0.05 by chance. "
      "Similarity within a category is also high if its texts are close together and the others' are not: see the "
      "values of each category, and p of means, which asks only whether the mean vectors differ. p by Holm corrects "
      "the "
      "p of the layer alone for the number of tests; it ignores that layers and metrics are alike, and is larger. More "
      "alike is how often a pair of texts of one category is more alike than a pair of two, 50 % by chance; its "
      "interval "
      "is for other texts of the same kinds.",
      "Diagonal plus low rank: a matrix, its rows and columns centred, is fitted by a diagonal and components. Those "
      "are "
      "counted whose eigenvalue is larger than in 19 matrices of permuted vectors, so that 1 in 20 has one by chance; "
      "beside a large component a small one can be missed. A component follows a label if that has a tenth of its "
      "variance or more, with p below 0.05 by Holm's correction over the layer's components and labels: categories are "
      "exchanged between texts, the others between vectors.",
      "A stream follows one hidden dimension through the layers, one line per text and position. F compares the "
      "variance of the texts' means between categories with that within them: a large F separates the categories. Of "
      "thousands of dimensions some have a large F by chance: grey ones do not exceed what exchanged labels give."};
  if (static_cast<std::size_t>(shown) != study.matrices.size())
    notes.push_back("Matrices too large for this page are only in the data files and pictures.");
  notes.insert(notes.end(), study.notes.begin(), study.notes.end());
  page.notes("How to read this page", notes);
  detail::add_pictures(page, study, dimensions);
  return page;
}

}  // namespace optscope::plot
