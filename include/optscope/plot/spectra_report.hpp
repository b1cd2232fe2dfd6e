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

/// One spectrum: all values, or of a sampled one how many lie above each threshold.
struct spectrum_curve {
  std::string name{};  ///< "layer 5"
  rgb colour{};
  std::size_t size = 0;          ///< values in all
  std::vector<double> values{};  ///< descending; or
  std::vector<double> thresholds{}, counts{}, errors{};
  double largest = 0;
  double floor = 0;       ///< absolute; below is noise, or not resolved
  std::size_t bound = 0;  ///< largest rank that the structure allows
};

/// Spectra that are compared, block by block: over layers, numbers of tokens, or texts.
struct spectra_set {
  std::string name{}, title{};                        ///< "layers", "Spectra over the layers"
  bool shares = false;                                ///< x is the share of all values: for different numbers
  std::optional<value_range> levels{};                ///< of the colours, where they are viridis
  std::vector<std::string> blocks{};                  ///< titles of the panels: attention, dense
  std::vector<std::vector<spectrum_curve>> curves{};  ///< (block, curve)
};

/// How wide a block is over the layers, in several notions, each relative to the structural bound.
struct width_panel {
  std::string block{};
  std::vector<double> layers{};
  std::vector<std::pair<std::string, std::vector<double>>> notions{};
  std::optional<double> tight_pass{};  ///< the narrowest layer
  double margin = 0;                   ///< how much wider the next narrowest is, relative
  bool inside = false;                 ///< not the first or the last
  std::optional<double> spread{};      ///< standard deviation over texts, relative
  std::optional<bool>
      stands_out{};       ///< the margin is more than noise; only then, and inside, it is called a tight pass
  std::string verdict{};  ///< all that in words
};

/// Mean squared cosines of the principal angles between leading subspaces, for every pair.
struct overlap_panel {
  std::string title{};  ///< "attention, written"
  tensor<float, 2> values{};
};
struct overlap_set {
  std::string name{}, title{};      ///< "layers"
  std::vector<std::string> rows{};  ///< what is compared
  std::vector<row_group> groups{};  ///< categories of the rows; empty: numbers
  std::vector<overlap_panel> panels{};
};

struct spectra_table {
  std::string title{};
  std::vector<std::string> columns{};
  std::vector<std::vector<std::string>> rows{};
};

/// Everything the page and the pictures show.
struct spectra_report {
  std::string title = "Singular spectra", model{};
  std::vector<std::pair<std::string, std::string>> facts{};
  std::vector<spectra_set> sets{};
  std::vector<width_panel> widths{};
  std::vector<overlap_set> overlaps{};
  std::vector<spectra_table> tables{};
  std::vector<std::string> notes{};
};

/// Panels for `lines` and `report::chart`, a block each: values relative to the largest over their index, the noise
/// shaded, the bounds dashed.
[[nodiscard]] std::vector<line_panel> spectrum_panels(const spectra_set& set);

/// Panels of the width over the layers, the narrowest dashed.
[[nodiscard]] std::vector<line_panel> width_panels(const std::vector<width_panel>& widths);

/// The page and its pictures: `spectra-NAME` for each of the sets, `width`, `directions-NAME` for each of the overlaps.
[[nodiscard]] report make_report(const spectra_report& content);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/spectra_report.ipp>
#endif
