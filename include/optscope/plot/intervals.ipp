// SPDX-License-Identifier: MIT
#pragma once
// Bodies of intervals.hpp.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/plot/intervals.hpp>
#include <optscope/plot/label.hpp>
#include <optscope/plot/layout.hpp>

namespace optscope::plot {

OPTSCOPE_INLINE picture intervals(std::span<const std::string> names, std::span<const interval_panel> panels,
                                  const std::string& title) {
  constexpr std::size_t longest_name = 64;
  std::size_t longest = 0;
  for (const std::string& name : names) longest = std::max(longest, detail::shortened(name, longest_name).size());
  const double left = 24 + 4.9 * static_cast<double>(longest), width = 230, gap = 26, height = 15, bottom = 42;
  const double top = title.empty() ? 12 : 36, columns = static_cast<double>(panels.size());
  const double all = height * static_cast<double>(names.size());
  picture result;
  result.width = left + width * columns + gap * (columns - 1) + 18;
  result.height = top + all + bottom;
  const detail::page sheet{result.width, result.height};

  std::string& text = result.commands;
  text = "set multiplot\nunset key\nset border 1 lw 0.75 lc rgb '#444444'\n";
  text += "set grid xtics ytics lc rgb '#e4e4e4' lw 0.5 lt 1\nset xtics nomirror out scale 0.5 font ',9'\n";
  text += "set yrange [" + gnuplot_number(static_cast<double>(names.size()) - 0.5) + ":-0.5]\nset bars small\n";
  for (std::size_t p = 0; p < panels.size(); ++p) {
    const interval_panel& panel = panels[p];
    const double x = left + (width + gap) * static_cast<double>(p);
    text += sheet.margins(x, top, x + width, top + all) + "unset label\n";
    if (p == 0 && !title.empty()) text += sheet.heading(title, result.width / 2, 17, 13, result.width);
    text += "set ytics scale 0 noenhanced font ',9' (";
    for (std::size_t i = 0; i < names.size(); ++i) {
      text += (i ? "," : "") +
              gnuplot_tick(p == 0 ? detail::shortened(names[i], longest_name) : "", static_cast<double>(i));
    }
    text +=
        ")\nset xlabel " + gnuplot_string(detail::shortened(panel.title, 46)) + " noenhanced font ',10' offset 0,0.3\n";
    const auto range = panel.x_range ? *panel.x_range : [&] {
      auto [low, high] = detail::finite_range(panel.values);
      low = std::min(low, 0.0);
      high = std::max(high, 0.0);
      return value_range{.low = low - (low < 0 ? 0.04 : 0) * (high - low), .high = high + 0.04 * (high - low)};
    }();
    text += "set xrange [" + gnuplot_number(range.low) + ":" + gnuplot_number(range.high) + "]\n";
    const bool bars = panel.low.empty();
    text += "plot data binary skip=" + std::to_string(result.data.size() * sizeof(float)) + " record=(" +
            std::to_string(names.size()) + ") format='%float%float%float%float' using ";
    text += bars ? "2:1:3:4:($1-0.3):($1+0.3) with boxxyerror fs solid 0.7 noborder"
                 : "2:1:3:4 with xerrorbars pt 7 ps 0.5 lw 1.25";
    text += " lc rgb '" + hex(panel.colour) + "'\n";
    for (std::size_t i = 0; i < names.size(); ++i) {
      const double value = i < panel.values.size() ? panel.values[i] : NAN;
      const double low = bars ? std::min(value, 0.0) : panel.low[i], high = bars ? std::max(value, 0.0) : panel.high[i];
      for (const double each : {static_cast<double>(i), value, low, high}) {
        result.data.push_back(static_cast<float>(std::isfinite(value) ? each : NAN));
      }
    }
  }
  text += "unset multiplot\n";
  return result;
}

}  // namespace optscope::plot
