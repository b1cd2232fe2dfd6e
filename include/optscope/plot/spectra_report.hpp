// SPDX-License-Identifier: MIT
#pragma once
// Singular spectra as pictures and as a page: spectra with their floors and bounds, width over layers, overlaps.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/axes.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/palette.hpp>
#include <optscope/plot/report.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope::plot {

/// One spectrum: all its values, or for a sampled one, how many values exceed each threshold.
struct spectrum_curve {
  std::string name{};  ///< "layer 5"
  rgb colour{};
  std::size_t size = 0;                                  ///< number of values
  std::vector<double> values{};                          ///< descending; empty for a sampled spectrum
  std::vector<double> thresholds{}, counts{}, errors{};  ///< of a sampled spectrum
  double largest = 0;
  double floor = 0;       ///< absolute; values below are noise, or not resolved
  std::size_t bound = 0;  ///< largest rank that the structure allows
};

/// Spectra that are compared, block by block: over layers, numbers of tokens, or texts.
struct spectra_set {
  std::string name{}, title{};          ///< "layers", "Spectra over the layers"
  bool shares = false;                  ///< x is the index as a share of all values, for spectra of different sizes
  std::optional<value_range> levels{};  ///< of the colours, if they are viridis
  std::vector<std::string> blocks{};    ///< titles of the panels: attention, dense
  std::vector<std::vector<spectrum_curve>> curves{};  ///< (block, curve)
};

/// The width of a block over the layers by several notions of rank, each relative to the structural bound.
struct width_panel {
  std::string block{};
  std::vector<double> layers{};
  std::vector<std::pair<std::string, std::vector<double>>> notions{};
  std::vector<std::vector<double>> of_texts{};  ///< [text][layer]: the first notion at single texts, if several
  std::optional<double> narrowest{};            ///< a layer
  bool is_tight_pass = false;                   ///< it is narrower by more than noise, and neither first nor last
  std::string verdict{};                        ///< the same in words
};

/// Mean squared cosines of the principal angles between leading subspaces, for every pair.
struct overlap_panel {
  std::string title{};  ///< "attention, written"
  tensor<float, 2> values{};
};
struct overlap_set {
  std::string name{}, title{};      ///< "layers"
  std::vector<std::string> rows{};  ///< what is compared
  std::vector<row_group> groups{};  ///< categories of the rows; empty: rows are numbered
  std::vector<overlap_panel> panels{};
};

struct spectra_table {
  std::string title{};
  std::vector<std::string> columns{};
  std::vector<std::vector<std::string>> rows{};
};

/// Everything the report shows.
struct spectra_report {
  std::string title = "Singular spectra", model{};
  std::vector<std::pair<std::string, std::string>> facts{};
  std::vector<spectra_set> sets{};
  std::vector<width_panel> widths{};
  std::vector<overlap_set> overlaps{};
  std::vector<spectra_table> tables{};
  std::vector<std::string> notes{};
};

/// Panels for `lines` and `report::chart`, one per block: values relative to the largest over their index, with the
/// noise shaded and the bounds dashed.
[[nodiscard]] std::vector<line_panel> spectrum_panels(const spectra_set& set);

/// Panels of the width over the layers, with a dashed line at the narrowest.
[[nodiscard]] std::vector<line_panel> width_panels(const std::vector<width_panel>& widths);

/// The page and its pictures: `spectra-NAME` for each of the sets, `width`, `directions-NAME` for each of the overlaps.
[[nodiscard]] report make_report(const spectra_report& content);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/spectra_report.ipp>
#endif
