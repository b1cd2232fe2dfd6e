// SPDX-License-Identifier: MIT
#pragma once
// Heat maps: square matrices side by side, one a layer, in one colour range.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/palette.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope::plot {

struct heatmap_options {
  std::string title{};
  std::string value_label = "cosine";                ///< stands beside the colour bar
  std::vector<std::string> panel_titles{};           ///< one a matrix; `layer 0`, `layer 1`, … if empty
  std::vector<group> groups{};                       ///< categories of the rows, in order; sizes add up to the rows
  std::optional<std::pair<double, double>> range{};  ///< of the colours; the data's own if absent
  std::size_t columns = 0;                           ///< panels in a row; 0 chooses
};

/// Draws `matrices` (panel, row, column), row 0 at the top, white lines between the groups, one colour bar.
void heatmap(tensor_view<const float, 3> matrices, const heatmap_options& options, const picture_files& files);

/// One matrix (row, column), such as what `similarity` returns for a layer.
void heatmap(tensor_view<const float, 2> matrix, const heatmap_options& options, const picture_files& files);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/heatmap.ipp>
#endif
