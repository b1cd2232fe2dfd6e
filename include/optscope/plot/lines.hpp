// SPDX-License-Identifier: MIT
#pragma once
// Line charts: named series over x, with bands, log axes and one or more panels.

#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/palette.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope::plot {

/// One line. `low` and `high` are empty or draw a band around it. Points that are not finite interrupt the line.
struct line_series {
  std::string name{};  ///< for the legend; no entry if empty
  std::vector<double> x{}, y{};
  std::vector<double> low{}, high{};
  rgb colour{};
  double width = 1.5;
  bool dashed = false;
};

struct line_panel {
  std::string title{};
  std::vector<line_series> series{};
  std::optional<std::pair<double, double>> y_range{};  ///< of the axis; the data's own if absent
};

struct lines_options {
  std::string title{}, x_label = "layer", y_label{};
  bool log_x = false, log_y = false;
  /// A colour bar (viridis) from first to second, for series that are coloured by a level, such as `viridis(layer
  /// / 11.0)`.
  std::optional<std::pair<double, double>> levels{};
  std::string level_label = "layer";
  double panel_width = 0, panel_height = 0;  ///< points; 0 chooses
};

/// Draws the panels side by side, and to their right the names of the series, each once.
///
///     line_series within{"within a text", {0, 1, 2}, {0.4, 0.6, 0.9}};
///     within.colour = hue(0);
///     const line_panel panel{"attn_out", {within}};
///     lines({&panel, 1}, {"Similarity by layer"}, {"pictures/similarity"});
void lines(std::span<const line_panel> panels, const lines_options& options, const picture_files& files);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/lines.ipp>
#endif
