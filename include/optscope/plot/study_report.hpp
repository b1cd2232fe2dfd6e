// SPDX-License-Identifier: MIT
#pragma once
// The similarity study's report: texts, matrices, similarity by layer, streams.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/axes.hpp>
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

/// Everything the report shows. Texts of a category are next to each other. The views must be valid until `make_report`
/// returns.
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
///     plot::make_report(study).write("study-report");
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
[[nodiscard]] std::vector<row_group> groups_of(const std::vector<report_text>& texts, std::size_t rows = 1);

/// The page and its pictures. Sections without data are left out. The page has about 4/3 of the bytes of its matrices
/// and streams (see `study_report::matrix_bytes` and `stream_bytes`).
///
/// Pictures: a heat map for each of `study.matrices` (`SITE-METRIC` for the first of the sets, `SITE-METRIC-last` for
/// the other), `similarity-SITE-METRIC` for each of the curves, and `stream-SITE-DIMENSION` for each of `dimensions`,
/// or if there are none, for each site's three best.
[[nodiscard]] report make_report(const study_report& study, const std::vector<std::size_t>& dimensions = {});

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/study_report.ipp>
#endif
