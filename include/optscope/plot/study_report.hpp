// SPDX-License-Identifier: MIT
#pragma once
// The similarity study's report: texts, matrices, similarity by layer, streams.

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <numeric>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/report.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope::plot {

struct report_text {
  std::string category{}, name{}, first_words{};
  std::size_t tokens = 0;
};

/// What a row of a matrix is: a position of a text and the token there.
struct report_vector {
  std::size_t text = 0, position = 0;
  std::string token{};
};

struct report_vector_set {
  std::string name{};  ///< "all positions"
  std::vector<report_vector> vectors{};
};

struct report_matrices {
  std::string site{}, metric{}, set{};   ///< `set` is the name of a `report_vector_set`
  tensor_view<const float, 3> values{};  ///< (layer, row, column)
};

/// Mean similarities and the permutation test's p, one value a layer. What does not exist is NaN.
struct report_curves {
  std::string site{}, metric{};
  std::vector<double> within_text{}, within_category{}, between_categories{}, p_value{};
  std::size_t labelings = 0;  ///< assignments of labels that the test compared
  bool exact = false;         ///< all different ones, not a random sample
};

struct report_dimension {
  std::size_t dimension = 0, layer = 0;
  double f = 0;  ///< F statistic over the texts' means, at that layer
};

struct report_streams {
  std::string site{};
  tensor_view<const float, 4> values{};           ///< (layer, text, position, hidden)
  std::vector<report_dimension> best{};           ///< over all layers, best first; `layer` as in `study_report::layers`
  std::vector<report_dimension> best_by_layer{};  ///< some for each layer, best first within it; may be empty
  std::string file{};                             ///< where all values are, named on the page
};

/// Everything the page shows. Texts of a category stand together. Views need to live until `write_report` returns.
///
///     plot::study_report study;
///     study.model = "demo-model";
///     study.facts = {{"layers", "12"}, {"hidden size", "768"}};
///     study.texts = {{"articles", "permit-form", "The form that decides", 512}, ...};
///     study.layers = {0, 1, ...};
///     study.positions = {475, 479, ...};
///     study.sets = {{"all positions", {{0, 475, " the"}, {0, 479, ","}, ...}}, {"last position", {...}}};
///     study.matrices = {{"attn_out", "cosine", "all positions", matrices.view()}, ...};
///     study.curves = {{"attn_out", "cosine", within_text, within_category, between, p}, ...};
///     study.streams = {{"attn_out", streams.view(), best, best_by_layer, "data/stream-attn_out.npy"}, ...};
///     study.notes = {"A paragraph.", "Another."};
///     plot::write_report(study, "report.html");
struct study_report {
  std::string title = "Similarity study", model{};
  std::vector<std::pair<std::string, std::string>> facts{};  ///< of model and run, in the heading
  std::vector<report_text> texts{};
  std::vector<std::size_t> layers{}, positions{};
  std::vector<report_vector_set> sets{};
  std::vector<report_matrices> matrices{};
  std::vector<report_curves> curves{};
  std::vector<report_streams> streams{};
  std::vector<std::string> notes{};             ///< shown after how to read the page
  std::size_t matrix_bytes = 32 * 1024 * 1024;  ///< of all matrices together; beyond, only the smaller sets go in
  std::size_t stream_bytes = 4 * 1024 * 1024;   ///< of all streams together; beyond, only the best dimensions go in
};

/// Consecutive texts of one category, each text counted `rows` times: the groups that `heatmap` and `streams` take.
[[nodiscard]] inline std::vector<group> groups_of(const std::vector<report_text>& texts, std::size_t rows = 1) {
  std::vector<group> groups;
  for (const report_text& text : texts) {
    if (groups.empty() || groups.back().name != text.category) groups.push_back({text.category, 0});
    groups.back().size += rows;
  }
  return groups;
}

namespace detail {

inline void list(json_writer& json, std::string_view name, const auto& values) {
  json.key(name).begin_array();
  for (const auto& value : values) json.value(value);
  json.end_array();
}

inline void add_texts(report& page, const study_report& study) {
  json_writer json = page.begin("texts", "Texts");
  json.key("texts").begin_array();
  const std::vector<group> groups = groups_of(study.texts);
  std::size_t text = 0;
  for (std::size_t category = 0; category < groups.size(); ++category) {
    for (std::size_t member = 0; member < groups[category].size; ++member, ++text) {
      const report_text& shown = study.texts[text];
      json.begin_object().field("category", shown.category).field("name", shown.name);
      json.field("firstWords", shown.first_words).field("tokens", shown.tokens);
      json.field("hue", hex(hue(category))).field("colour", hex(shade(category, member, groups[category].size)));
      json.end_object();
    }
  }
  json.end_array();
  page.end(json);
}

/// Whether the page has room for these matrices beside the others.
[[nodiscard]] inline bool fits(const report_matrices& matrices, const study_report& study) {
  return matrices.values.size() * sizeof(float) <= study.matrix_bytes / study.matrices.size();
}

inline void add_matrices(report& page, const study_report& study) {
  json_writer json = page.begin("matrices", "Similarity of every pair");
  list(json, "layers", study.layers);
  json.key("sets").begin_array();
  for (const report_vector_set& set : study.sets) {
    json.begin_object().field("name", set.name).key("vectors").begin_array();
    for (const report_vector& vector : set.vectors)
      json.begin_array().value(vector.text).value(vector.position).value(vector.token).end_array();
    json.end_array().end_object();
  }
  json.end_array().key("matrices").begin_array();
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
  list(json, "layers", study.layers);
  json.key("curves").begin_array();
  for (const report_curves& curves : study.curves) {
    json.begin_object().field("site", curves.site).field("metric", curves.metric);
    list(json, "withinText", curves.within_text);
    list(json, "withinCategory", curves.within_category);
    list(json, "between", curves.between_categories);
    list(json, "p", curves.p_value);
    json.field("labelings", curves.labelings).field("exact", curves.exact).end_object();
  }
  json.end_array();
  page.end(json);
}

inline void add_streams(report& page, const study_report& study) {
  json_writer json = page.begin("streams", "Streams");
  list(json, "layers", study.layers);
  list(json, "positions", study.positions);
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
      for (const auto* list_of_best : {&streams.best, &streams.best_by_layer})
        for (const report_dimension& best : *list_of_best)
          if (kept.size() < room && best.dimension < hidden &&
              std::find(kept.begin(), kept.end(), best.dimension) == kept.end())
            kept.push_back(best.dimension);
      for (std::size_t d = 0; kept.empty() && d < std::min(std::max<std::size_t>(room, 1), hidden); ++d)
        kept.push_back(d);
      std::sort(kept.begin(), kept.end());
    }
    std::vector<float> values;  // (dimension, layer, text, position)
    values.reserve(kept.size() * lines);
    for (const std::size_t dimension : kept)
      for (std::size_t layer = 0; layer < shape[0]; ++layer)
        for (std::size_t i = 0; i < shape[1] * shape[2]; ++i)
          values.push_back(streams.values.row(layer)[i * hidden + dimension]);

    json.begin_object().field("site", streams.site).field("file", streams.file).field("hidden", hidden);
    list(json, "kept", kept);
    for (const auto& [name, list_of_best] :
         {std::pair{"best", &streams.best}, {"bestByLayer", &streams.best_by_layer}}) {
      json.key(name).begin_array();
      for (const report_dimension& best : *list_of_best)
        if (std::binary_search(kept.begin(), kept.end(), best.dimension))
          json.begin_array().value(best.dimension).value(best.layer).value(best.f).end_array();
      json.end_array();
    }
    json.key("values").raw(page.float16(values)).end_object();
  }
  json.end_array();
  page.end(json);
}

}  // namespace detail

/// Writes the page. Sections without data are left out. About 4/3 of the bytes of matrices and streams (see
/// `study_report::matrix_bytes` and `stream_bytes`). Throws what `output_file` throws.
inline void write_report(const study_report& study, const std::filesystem::path& path) {
  report page{study.title, study.model};
  if (!study.facts.empty()) page.facts("Model and run", study.facts);
  if (!study.texts.empty()) detail::add_texts(page, study);
  const auto shown = std::count_if(study.matrices.begin(), study.matrices.end(),
                                   [&](const report_matrices& m) { return detail::fits(m, study); });
  if (shown != 0) detail::add_matrices(page, study);
  if (!study.curves.empty()) detail::add_curves(page, study);
  if (!study.streams.empty()) detail::add_streams(page, study);
  std::vector<std::string> notes{
      "A matrix compares every vector with every other one: rows and columns are the texts in their order, and within "
      "a text "
      "its positions. A bright square on the diagonal says that the texts of a category resemble each other.",
      "The curves average the matrices: pairs of positions within one text, of texts within one category, of texts of "
      "different categories. p is the share of permutations of the texts' categories that separate them at least as "
      "well.",
      "A stream follows one hidden dimension through the layers, one line for each text and position. F compares the "
      "texts' means between and within categories; large values separate."};
  if (static_cast<std::size_t>(shown) != study.matrices.size())
    notes.push_back("Matrices too large for this page were left out; they are among the data files and pictures.");
  notes.insert(notes.end(), study.notes.begin(), study.notes.end());
  page.notes("How to read this page", notes);
  page.write(path);
}

}  // namespace optscope::plot
