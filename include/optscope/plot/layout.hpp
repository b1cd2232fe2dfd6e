// SPDX-License-Identifier: MIT
#pragma once
// What the pictures share: ranges of values, the palette, and places on the page.

#include <optscope/core/compiled.hpp>
#include <span>
#include <string>
#include <utility>

namespace optscope::plot {

namespace detail {

/// Smallest and largest finite value, never equal: what a colour or an axis can span.
[[nodiscard]] std::pair<double, double> finite_range(std::span<const float> values);
[[nodiscard]] std::pair<double, double> finite_range(std::span<const double> values);

/// The command that sets viridis as the palette.
[[nodiscard]] std::string viridis_palette();

/// Where something stands on the page, in points from the upper left corner; gnuplot counts from the lower left.
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
