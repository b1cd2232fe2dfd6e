// SPDX-License-Identifier: MIT
#pragma once
// Bodies of layout.hpp.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/plot/label.hpp>
#include <optscope/plot/layout.hpp>
#include <optscope/plot/palette.hpp>

namespace optscope::plot {

namespace detail {

template <class Value>
value_range finite_range_of(std::span<const Value> values) {
  value_range range{.low = INFINITY, .high = -INFINITY};
  for (const Value value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, static_cast<double>(value));
    range.high = std::max(range.high, static_cast<double>(value));
  }
  if (range.low > range.high) return {.low = 0, .high = 1};
  if (range.low == range.high) {  // room on both sides of the only value
    const double room = std::abs(range.low) * 0.5 + 1e-6;
    return {.low = range.low - room, .high = range.high + room};
  }
  return range;
}

OPTSCOPE_INLINE value_range finite_range(std::span<const float> values) { return finite_range_of(values); }
OPTSCOPE_INLINE value_range finite_range(std::span<const double> values) { return finite_range_of(values); }

OPTSCOPE_INLINE double tick_step(double extent, double most) {
  double decade = 1;
  while (extent / (10 * decade) > most) decade *= 10;
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (extent / (factor * decade) <= most) return factor * decade;
  }
  return 10 * decade;
}

OPTSCOPE_INLINE std::string palette_of(const colour_scale& scale) {
  std::string text = "set palette defined (";
  std::size_t place = 0;
  for (const rgb stop : scale.stops()) {
    text += (place ? "," : "") + std::to_string(place) + "'" + hex(stop) + "'";
    ++place;
  }
  return text + ") maxcolors 256\nset cbrange [" + gnuplot_number(scale.range.low) + ":" +
         gnuplot_number(scale.range.high) + "]\n";
}

OPTSCOPE_INLINE std::string page::at(double x, double y) const {
  return "screen " + gnuplot_number(x / width) + ", screen " + gnuplot_number(1 - y / height);
}

OPTSCOPE_INLINE std::string page::margins(double left, double top, double right, double bottom) const {
  return "set lmargin at screen " + gnuplot_number(left / width) + "\nset rmargin at screen " +
         gnuplot_number(right / width) + "\nset tmargin at screen " + gnuplot_number(1 - top / height) +
         "\nset bmargin at screen " + gnuplot_number(1 - bottom / height) + "\n";
}

OPTSCOPE_INLINE std::string page::heading(const std::string& text, double x, double y, double size, double room) const {
  const std::string shown = shortened(text, static_cast<std::size_t>(room / size * 1.8));
  return "set label " + gnuplot_string(shown) + " at " + at(x, y) + " center noenhanced font '," +
         gnuplot_number(size) + "'\n";
}

}  // namespace detail

}  // namespace optscope::plot
