// SPDX-License-Identifier: MIT
#pragma once
// Bodies of lines.hpp.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <optscope/plot/label.hpp>
#include <optscope/plot/layout.hpp>
#include <optscope/plot/lines.hpp>

namespace optscope::plot {

namespace detail {
/// The points that no line reaches, since their neighbours are not there or not finite.
inline std::vector<std::size_t> points_alone(const line_series& series) {
  const std::size_t points = std::min(series.x.size(), series.y.size());
  const auto there = [&](std::size_t i) { return i < points && std::isfinite(series.x[i] + series.y[i]); };
  std::vector<std::size_t> alone;
  for (std::size_t i = 0; i < points; ++i) {
    if (there(i) && !there(i - 1) && !there(i + 1)) alone.push_back(i);
  }
  return alone;
}
}  // namespace detail

OPTSCOPE_INLINE picture lines(std::span<const line_panel> panels, const lines_options& options) {
  const double columns = static_cast<double>(std::max<std::size_t>(panels.size(), 1));
  const double panel_width = options.panel_width > 0 ? options.panel_width : panels.size() > 1 ? 330 : 470;
  const double panel_height = options.panel_height > 0 ? options.panel_height : 300;

  std::vector<const line_series*> legend;
  std::size_t longest = 0;
  bool whole_numbers = !options.log_x, panel_titles = false;
  double x_low = INFINITY, x_high = -INFINITY;
  for (const line_panel& panel : panels) {
    panel_titles = panel_titles || !panel.title.empty();
    for (const line_series& series : panel.series) {
      for (const double x : series.x) {
        whole_numbers = whole_numbers && x == std::round(x);
        x_low = std::min(x_low, x);
        x_high = std::max(x_high, x);
      }
      const bool known =
          std::any_of(legend.begin(), legend.end(), [&](auto* entry) { return entry->name == series.name; });
      if (series.name.empty() || known) continue;
      legend.push_back(&series);
      longest = std::max(longest, detail::shortened(series.name, 30).size());
    }
  }

  const double left = 62, gap = 50, bottom = 42, top = (options.title.empty() ? 12 : 40) + (panel_titles ? 16 : 0);
  const double right = legend.empty() ? options.levels ? 78 : 16 : 46 + 5.6 * static_cast<double>(longest);
  picture result;
  result.width = left + panel_width * columns + gap * (columns - 1) + right;
  result.height = top + panel_height + bottom;
  const detail::page sheet{result.width, result.height};

  std::string& text = result.commands;
  text =
      "set multiplot\nunset key\nset border 3 lw 0.75 lc rgb '#444444'\nset grid ytics lc rgb '#e4e4e4' lw 0.5 lt 1\n";
  text += "set tics nomirror out scale 0.5 font ',9'\nunset colorbox\n";
  if (options.levels) text += detail::palette_of({.range = *options.levels, .diverging = false});
  text += "set xlabel " + gnuplot_string(options.x_label) + " noenhanced font ',10' offset 0,0.3\n";
  if (options.log_x) text += "set logscale x\nset format x '10^{%L}'\n";
  if (options.log_y) text += "set logscale y\nset format y '10^{%L}'\n";
  if (x_low == x_high) {  // room on both sides of the only tick
    text += "set xtics (" + gnuplot_number(x_low) + ")\n";
    x_low = options.log_x ? x_low / 2 : x_low - 1;
    x_high = options.log_x ? x_high * 2 : x_high + 1;
  } else if (whole_numbers && x_high > x_low) {
    const double step = detail::tick_step(x_high - x_low, 12);
    text += "set xtics " + gnuplot_number(std::ceil(x_low / step) * step) + "," + gnuplot_number(step) + "\n";
  }
  if (x_high > x_low) text += "set xrange [" + gnuplot_number(x_low) + ":" + gnuplot_number(x_high) + "]\n";

  for (std::size_t p = 0; p < panels.size(); ++p) {
    const line_panel& panel = panels[p];
    const double x = left + (panel_width + gap) * static_cast<double>(p);
    text += sheet.margins(x, top, x + panel_width, top + panel_height) + "unset label\n";
    if (p == 0) text += "set ylabel " + gnuplot_string(options.y_label) + " noenhanced font ',10' offset 0.5,0\n";
    if (p == 1) text += "unset ylabel\n";
    if (p == 0 && !options.title.empty())
      text += sheet.heading(options.title, (result.width - right + left) / 2, 17, 13, result.width);
    if (!panel.title.empty()) text += sheet.heading(panel.title, x + panel_width / 2, top - 10, 10, panel_width);
    text += panel.y_range ? "set yrange [" + gnuplot_number(panel.y_range->low) + ":" +
                                gnuplot_number(panel.y_range->high) + "]\n"
                          : "set yrange [*:*]\n";

    std::string bands, curves;
    for (const line_series& series : panel.series) {
      const std::size_t points = std::min(series.x.size(), series.y.size());
      const auto source = [&](std::size_t count, std::initializer_list<const std::vector<double>*> columns_of_data) {
        std::string text_of_source = "data binary skip=" + std::to_string(result.data.size() * sizeof(float)) +
                                     " record=(" + std::to_string(count) + ") format='";
        for (std::size_t i = 0; i < columns_of_data.size(); ++i) text_of_source += "%float";
        for (std::size_t point = 0; point < count; ++point)
          for (const auto* column : columns_of_data) result.data.push_back(static_cast<float>((*column)[point]));
        return text_of_source + "' using 1:2" + (columns_of_data.size() > 2 ? ":3" : "");
      };
      bool drawable = false;  // gnuplot refuses a curve without a value
      for (std::size_t i = 0; i < points; ++i) drawable = drawable || std::isfinite(series.x[i] + series.y[i]);
      if (!drawable) continue;
      const std::string colour = " lc rgb '" + hex(series.colour) + "'";
      if (series.low.size() >= points && series.high.size() >= points)
        bands += source(points, {&series.x, &series.low, &series.high}) +
                 " notitle with filledcurves fs transparent solid 0.18 noborder" + colour + ", ";
      curves += source(points, {&series.x, &series.y}) + " notitle with lines lw " + gnuplot_number(series.width) +
                colour + (series.dashed ? " dt 2" : "") + ", ";
      std::vector<double> x_alone, y_alone;
      for (const std::size_t i : detail::points_alone(series)) {
        x_alone.push_back(series.x[i]);
        y_alone.push_back(series.y[i]);
      }
      if (x_alone.empty()) continue;
      const std::string size = gnuplot_number(series.width < 1 ? 0.3 : 0.7);
      curves += source(x_alone.size(), {&x_alone, &y_alone}) + " notitle with points pt 7 ps " + size + colour + ", ";
    }
    if (p + 1 == panels.size()) {
      const double x_after = x + panel_width + 12;
      if (!legend.empty())
        text += "set key at " + sheet.at(x_after, top) +
                " left top Left reverse noenhanced samplen 1.5 spacing 1.15 font ',9'\n";
      for (const line_series* entry : legend)
        curves += "keyentry with lines lw 2 lc rgb '" + hex(entry->colour) + "'" + (entry->dashed ? " dt 2" : "") +
                  " title " + gnuplot_string(detail::shortened(entry->name, 30)) + ", ";
      if (options.levels && legend.empty()) {
        text += "set colorbox user vertical origin " + sheet.at(x_after, top + panel_height) + " size screen " +
                gnuplot_number(12 / result.width) + ", screen " + gnuplot_number(panel_height / result.height) + "\n";
        text += "set cbtics font ',9' scale 0.5\nset cblabel " + gnuplot_string(options.level_label) +
                " noenhanced font ',10'\n";
        curves += "'+' using 1:(NaN):(0) notitle with lines palette, ";
      }
    }
    if (bands.empty() && curves.find("data binary") == std::string::npos) {
      text += "set yrange [0:1]\nset label \"no value to draw\" at graph 0.5,0.5 center font ',9'\n";
      curves += "NaN notitle, ";
    }
    const std::string all = bands + curves;
    text += "plot " + all.substr(0, all.size() - 2) + "\n";
  }
  text += "unset multiplot\n";
  return result;
}

}  // namespace optscope::plot
