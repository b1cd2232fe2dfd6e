// SPDX-License-Identifier: MIT
#pragma once
// Heat maps: one or more matrices side by side, with one colour range for all.

#include <array>
#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/axes.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <string>
#include <vector>

namespace optscope::plot {

struct heatmap_options {
  std::string title{};
  std::string value_label = "cosine";       ///< next to the colour bar
  std::vector<std::string> panel_titles{};  ///< one per matrix; if empty, `layer 0`, `layer 1`, …
  std::vector<row_group> groups{};          ///< of rows and columns alike, in order; their sizes add up to the rows
  bool groups_of_rows = false;              ///< `groups` are of rows only
  std::vector<std::string> row_labels{}, column_labels{};  ///< in place of groups and numbers, where there are any
  std::optional<value_range> range{};                      ///< of the colours; if absent, that of all values
  std::vector<std::vector<std::array<std::size_t, 2>>> marks{};  ///< of each panel: cells (row, column) marked below
  std::optional<bool> diverging{};  ///< colours, zero in the middle; if absent, where the range spans zero
  std::size_t columns = 0;          ///< panels side by side; 0: chosen by their number
};

/// `matrices` (panel, row, column) with row 0 at the top, lines between groups, and one colour bar. Colours are those
/// of `scale_of`. Values that are not finite are white, or grey where white is zero.
[[nodiscard]] picture heatmap(tensor_view<const float, 3> matrices, const heatmap_options& options = {});

/// One matrix (row, column), such as what `similarity` returns for a layer.
///
///     draw(heatmap(similarity<cosine>(vectors), {.title = "Layer 3"}), {.stem = "pictures/layer-3"});
[[nodiscard]] picture heatmap(tensor_view<const float, 2> matrix, const heatmap_options& options = {});

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/heatmap.ipp>
#endif
