// SPDX-License-Identifier: MIT
#pragma once
// Named rows: for each a value with its interval, or a bar from zero, in panels side by side.

#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/plot/axes.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/palette.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope::plot {

/// One value per row; a row whose value is not finite is left empty.
struct interval_panel {
  std::string title{};  ///< of the axis
  std::vector<double> values{};
  std::vector<double> low{}, high{};     ///< ends of the intervals, one per row; empty: bars from zero
  std::optional<value_range> x_range{};  ///< of the axis; if absent, that of the values and zero
  rgb colour = hue(0);
};

/// The rows from top to bottom, with their names to the left of the first panel.
///
///     const std::vector<std::string> names{"nothing", "the first half"};
///     const interval_panel share{.title = "share", .values = {0.02, 0.9}, .low = {0.0, 0.8}, .high = {0.1, 1.0}};
///     draw(intervals(names, {&share, 1}, "Where it sits"), {.stem = "pictures/where"});
[[nodiscard]] picture intervals(std::span<const std::string> names, std::span<const interval_panel> panels,
                                const std::string& title);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/intervals.ipp>
#endif
