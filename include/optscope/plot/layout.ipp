// SPDX-License-Identifier: MIT
#pragma once
// Bodies of layout.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/plot/label.hpp>
#include <optscope/plot/layout.hpp>
#include <optscope/plot/palette.hpp>

namespace optscope::plot {

namespace detail {

template <class Value>
std::pair<double, double> finite_range_of(std::span<const Value> values) {
  std::pair<double, double> range{INFINITY, -INFINITY};
  for (const Value value : values) {
    if (!std::isfinite(value)) continue;
    range.first = std::min(range.first, static_cast<double>(value));
    range.second = std::max(range.second, static_cast<double>(value));
  }
  if (range.first > range.second) return {0, 1};
  if (range.first == range.second) range.second = range.first + std::max(1e-6, std::abs(range.first) * 1e-3);
  return range;
}

OPTSCOPE_INLINE std::pair<double, double> finite_range(std::span<const float> values) {
  return finite_range_of(values);
}
OPTSCOPE_INLINE std::pair<double, double> finite_range(std::span<const double> values) {
  return finite_range_of(values);
}

OPTSCOPE_INLINE std::string viridis_palette() {
  std::string text = "set palette defined (";
  for (std::size_t i = 0; i < viridis_stops.size(); ++i)
    text += (i ? "," : "") + std::to_string(i) + "'" + hex(viridis_stops[i]) + "'";
  return text + ") maxcolors 256\n";
}

OPTSCOPE_INLINE std::string page::at(double x, double y) const {
  return "screen " + number(x / width) + ", screen " + number(1 - y / height);
}

OPTSCOPE_INLINE std::string page::margins(double left, double top, double right, double bottom) const {
  return "set lmargin at screen " + number(left / width) + "\nset rmargin at screen " + number(right / width) +
         "\nset tmargin at screen " + number(1 - top / height) + "\nset bmargin at screen " +
         number(1 - bottom / height) + "\n";
}

OPTSCOPE_INLINE std::string page::heading(const std::string& text, double x, double y, double size, double room) const {
  const std::string shown = shortened(text, static_cast<std::size_t>(room / size * 1.8));
  return "set label " + gnuplot_string(shown) + " at " + at(x, y) + " center noenhanced font '," + number(size) + "'\n";
}

}  // namespace detail

}  // namespace optscope::plot
