// SPDX-License-Identifier: MIT
#pragma once
// Gnuplot commands that all pictures share: ranges, the palette, and places on the page.

#include <optscope/core/compiled.hpp>
#include <optscope/plot/axes.hpp>
#include <optscope/plot/palette.hpp>
#include <span>
#include <string>

namespace optscope::plot {

namespace detail {

/// From the smallest to the largest finite value, never empty: what colours or an axis can span. [0, 1] without any.
[[nodiscard]] value_range finite_range(std::span<const float> values);
[[nodiscard]] value_range finite_range(std::span<const double> values);

/// The smallest of 1, 2, 5, 10, 20, … of which at most `most` fit into `extent`: the step of an axis of whole numbers.
[[nodiscard]] double tick_step(double extent, double most);

/// The commands that set palette and range of the colours.
[[nodiscard]] std::string palette_of(const colour_scale& scale);

/// Converts places in points from the upper left corner to shares of the page from the lower left, as gnuplot wants.
struct page {
  double width, height;

  [[nodiscard]] std::string at(double x, double y) const;
  [[nodiscard]] std::string margins(double left, double top, double right, double bottom) const;
  [[nodiscard]] std::string heading(const std::string& text, double x, double y, double size, double room) const;
};

}  // namespace detail

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/layout.ipp>
#endif
