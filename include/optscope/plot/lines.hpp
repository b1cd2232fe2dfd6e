// SPDX-License-Identifier: MIT
#pragma once
// Line charts: named series over x, with bands, log axes and one or more panels.

#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/plot/axes.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/palette.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope::plot {

/// One line. `low` and `high` are empty, or have a value per point and draw a band. A point that is not finite
/// interrupts the line; one without a neighbour, such as that of a single layer, is drawn as a dot.
struct line_series {
  std::string name{};  ///< in the legend; empty: no entry
  std::vector<double> x{}, y{};
  std::vector<double> low{}, high{};
  rgb colour{};
  double width = 1.5;  ///< points
  bool dashed = false;
};

struct line_panel {
  std::string title{};
  std::vector<line_series> series{};
  std::optional<value_range> y_range{};  ///< of the axis; if absent, that of the values
};

struct lines_options {
  std::string title{}, x_label = "layer", y_label{};
  bool log_x = false, log_y = false;
  /// The levels at both ends of a colour bar in viridis, for series coloured by a level, such as `viridis(layer /
  /// 11.0)`. It takes the place of the legend, where no series has a name.
  std::optional<value_range> levels{};
  std::string level_label = "layer";
  double panel_width = 0, panel_height = 0;  ///< points; 0: chosen by the number of panels
};

/// The panels side by side. To their right, the names of all series, each once.
///
///     const line_series within{
///         .name = "within a text", .x = {0, 1, 2}, .y = {0.4, 0.6, 0.9}, .colour = hue(0)};
///     const line_panel panel{.title = "attn_out", .series = {within}};
///     draw(lines({&panel, 1}, {.title = "Similarity by layer"}), {.stem = "pictures/similarity"});
[[nodiscard]] picture lines(std::span<const line_panel> panels, const lines_options& options);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/lines.ipp>
#endif
