// SPDX-License-Identifier: MIT
#pragma once
// The similarity study's report: texts, matrices, similarity by layer, streams.

#include <cstddef>
#include <limits>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/axes.hpp>
#include <optscope/plot/report.hpp>
#include <string>
#include <string_view>
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

/// A layer's matrix as a diagonal plus a matrix of low rank.
struct report_low_rank {
  std::size_t rank = 0;
  double common = 0, explained = 0, residual = 0, diagonal = 0;  ///< see `low_rank_fit`
  std::string finding{};                                         ///< sentences
};

/// Mean similarities and permutation tests, one value per layer. NaN where there are no such pairs.
struct report_curves {
  std::string site{}, metric{};
  std::vector<double> within_text{}, within_category{}, between_categories{};
  std::vector<std::vector<double>> within_each{};        ///< [category][layer]: in order of the categories' texts
  std::vector<double> p_value{}, p_over_all{};           ///< of the blocks: of a layer alone; of all that is tested
  std::vector<double> p_holm{};                          ///< p_value corrected by Holm's method; may be empty
  std::vector<double> p_of_means{}, means_p_over_all{};  ///< of the categories' mean vectors; may be empty
  /// How often a pair of texts of one category is more alike than a pair of two, with a 95 % interval; may be empty.
  std::vector<double> effect{}, effect_low{}, effect_high{};
  std::vector<report_low_rank> low_rank{};  ///< [layer]; may be empty
  double smallest_p = 1;                    ///< that the number of texts allows
  std::size_t labelings = 0;                ///< assignments of categories to texts that the test compared
  bool exact = false;                       ///< all of them, not a random sample
  bool distance = false;                    ///< small is alike
};

struct report_dimension {
  std::size_t dimension = 0, layer = 0;
  double f = 0;                                                   ///< F statistic over the texts' means, at that layer
  double f_of_others = std::numeric_limits<double>::quiet_NaN();  ///< the same of texts that it was not chosen on
  double p = 1;  ///< share of exchanges of labels under which the largest F of all is at least this one
};

struct report_streams {
  std::string site{};
  tensor_view<const float, 4> values{};           ///< (layer, text, position, hidden)
  std::vector<report_dimension> best{};           ///< over all layers, best first; `layer` as in `study_report::layers`
  std::vector<report_dimension> best_by_layer{};  ///< some per layer, best first; may be empty
  std::string file{};                             ///< the file with all values, named on the page
  double level = std::numeric_limits<double>::quiet_NaN();  ///< F that the best of all exceeds by chance in 5 %
};

/// Everything the report shows. Texts of a category are next to each other. The views must be valid until `make_report`
/// returns.
///
///     plot::study_report study;
///     study.model = "demo-model";
///     study.facts = {{"layers", "12"}, {"hidden size", "768"}};
///     study.texts = {{.category = "articles", .name = "permit-form", .first_words = "The form ...", .tokens = 512},
///     ...}; study.layers = {0, 1, ...}; study.positions = {475, 479, ...}; study.sets = {{.name = "all positions",
///     .vectors = {{.text = 0, .position = 475, .token = " the"}, ...}}, ...}; study.matrices = {{.site = "attn_out",
///     .metric = "cosine", .set = "all positions", .values = matrices}, ...}; study.curves = {{.site = "attn_out",
///     .metric = "cosine", .within_text = means, ...}, ...}; study.streams = {{.site = "attn_out", .values = streams,
///     .best = best, ...}, ...}; study.notes = {"A paragraph.", "Another."};
///     plot::make_report(study).write("study-report");
struct study_report {
  std::string title = "Similarity study", model{};
  std::vector<std::pair<std::string, std::string>> facts{};  ///< of model and run
  std::vector<report_text> texts{};
  std::vector<std::size_t> layers{}, positions{};
  std::vector<report_vector_set> sets{};
  std::vector<report_matrices> matrices{};
  std::vector<report_curves> curves{};
  std::vector<report_streams> streams{};
  std::vector<std::string> notes{};             ///< paragraphs at the end of the page
  std::size_t matrix_bytes = 32 * 1024 * 1024;  ///< limit for all matrices; a matrix larger than its share is left out
  std::size_t stream_bytes = 4 * 1024 * 1024;   ///< limit for all streams; beyond it, only the best dimensions are kept
};

/// Matrices of many items, such as heads, under one metric: the items in the order in which they are shown.
struct report_item_matrices {
  std::string metric{};
  tensor_view<const float, 3> values{};  ///< (item, row, column): rows are the vectors of the first of `study.sets`
  std::vector<std::size_t> order{};      ///< items shown, first to last
  std::vector<std::string> names{};      ///< [item]
  std::vector<std::string> notes{};      ///< [item]: shown next to the name
  std::size_t found = 0;                 ///< items from this place on are shown pale: they may be chance
  bool dimensions = false;               ///< columns are dimensions, else vectors as rows are
};

/// Adds the section of the texts; other sections use its names and colours.
void add_texts(report& page, const std::vector<report_text>& texts);

/// Adds a section in which one item's matrix is large and all are small; `what` is what an item is called. Items
/// are left out from the end where the page would have no room.
void add_items(report& page, std::string_view heading, std::string_view note, const study_report& study,
               const std::string& site, const std::string& what, const std::vector<report_item_matrices>& lists);

/// Consecutive texts of one category, each text counted `rows` times: the groups that `heatmap` and `streams` take.
[[nodiscard]] std::vector<row_group> groups_of(const std::vector<report_text>& texts, std::size_t rows = 1);

/// What the tests of a site and metric find, in a sentence or two.
[[nodiscard]] std::string finding_of(const report_curves& curves, const std::vector<std::size_t>& layers);

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
