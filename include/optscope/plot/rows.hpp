// SPDX-License-Identifier: MIT
#pragma once
// Rows with names: a value of each with its interval as a point, or a bar from zero, in panels side by side.

#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/palette.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope::plot {

/// One value for each row; a value that is not finite is left out.
struct rows_panel {
  std::string title{};  ///< of the axis
  std::vector<double> values{};
  std::vector<double> low{}, high{};                   ///< of the intervals; empty: bars from zero
  std::optional<std::pair<double, double>> x_range{};  ///< of the axis; the data's own if absent
  rgb colour = hue(0);
};

/// Draws the rows from top to bottom, their names to the left of the first panel.
///
///     const std::vector<std::string> names{"nothing", "the first half"};
///     const rows_panel share{"share", {0.02, 0.9}, {0.0, 0.8}, {0.1, 1.0}};
///     rows(names, {&share, 1}, "Where it sits", {"pictures/where"});
void rows(std::span<const std::string> names, std::span<const rows_panel> panels, const std::string& title,
          const picture_files& files);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/rows.ipp>
#endif
