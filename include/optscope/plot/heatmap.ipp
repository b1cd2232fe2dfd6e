// SPDX-License-Identifier: MIT
#pragma once
// Bodies of heatmap.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/label.hpp>
#include <optscope/plot/layout.hpp>
#include <string_view>

namespace optscope::plot {

namespace detail {

inline constexpr std::size_t longest_cell_label = 24;  // characters

/// Points that the longest of the labels takes at size 8; 0 without any.
inline double room_for(const std::vector<std::string>& labels) {
  std::size_t longest = 0;
  for (const std::string& label : labels) {
    std::string_view left = label;
    std::size_t characters = 0;
    for (; !left.empty() && characters < longest_cell_label; ++characters) static_cast<void>(take_character(left));
    longest = std::max(longest, characters);
  }
  return 4.6 * static_cast<double>(longest);
}

/// A label for each row or column, or for every second, third, … where they are closer than lines of text.
inline std::string ticks_of(const std::vector<std::string>& labels, double room) {
  const double each = room / static_cast<double>(std::max<std::size_t>(labels.size(), 1));
  const std::size_t step = each >= 10 ? 1 : static_cast<std::size_t>(std::ceil(10 / each));
  std::string ticks;
  for (std::size_t i = 0; i < labels.size(); i += step) {
    ticks += (i == 0 ? "" : ",") + gnuplot_tick(shortened(labels[i], longest_cell_label), static_cast<double>(i));
  }
  return ticks;
}

}  // namespace detail

OPTSCOPE_INLINE picture heatmap(tensor_view<const float, 3> matrices, const heatmap_options& options) {
  using detail::page;
  const std::size_t panels = matrices.extent(0), rows = matrices.extent(1), columns_of_matrix = matrices.extent(2);
  const std::size_t across = options.columns != 0 ? options.columns
                             : panels <= 4
                                 ? std::max<std::size_t>(panels, 1)
                                 : static_cast<std::size_t>(std::ceil(std::sqrt(static_cast<double>(panels) * 4 / 3)));
  const std::size_t down = std::max<std::size_t>((panels + across - 1) / across, 1);

  picture result;
  // gnuplot draws no image of a single row or column: it is drawn as two of half the size.
  const std::size_t side = rows == 1 ? 2 : rows, side_across = columns_of_matrix == 1 ? 2 : columns_of_matrix;
  for (std::size_t panel = 0; panel < panels; ++panel) {
    const auto values = matrices.row(panel);
    for (std::size_t row = 0; row < side; ++row) {
      for (std::size_t column = 0; column < side_across; ++column) {
        result.data.push_back(
            values[(row * rows / side) * columns_of_matrix + column * columns_of_matrix / side_across]);
      }
    }
  }
  const colour_scale scale = scale_of(options.range.value_or(detail::finite_range(result.data)), options.diverging);

  const bool titled =
      options.panel_titles.empty() ||
      std::any_of(options.panel_titles.begin(), options.panel_titles.end(), [](auto& t) { return !t.empty(); });
  const double left = 30 + detail::room_for(options.row_labels), right = 78, gap = 12, caption = titled ? 18 : 2,
               top = options.title.empty() ? 10 : 40, bottom = 26 + detail::room_for(options.column_labels);
  const double cell = std::clamp(
      (820 - left - right - gap * static_cast<double>(across - 1)) / static_cast<double>(across), 96.0, 360.0);
  const double width = left + right + cell * static_cast<double>(across) + gap * static_cast<double>(across - 1);
  const double height =
      top + bottom + (cell + caption) * static_cast<double>(down) + gap * static_cast<double>(down - 1);
  const page sheet{width, height};
  result.width = width;
  result.height = height;

  const std::string thin = across > 6 ? "0.6" : "1";
  std::string& text = result.commands;
  text = "set multiplot\nunset key\nunset colorbox\n" + detail::palette_of(scale);
  text += "set xrange [-0.5:" + gnuplot_number(static_cast<double>(columns_of_matrix) - 0.5) + "]\n";
  text +=
      "set yrange [" + gnuplot_number(static_cast<double>(rows) - 0.5) + ":-0.5]\nset border lw 0.5 lc rgb '#444444'\n";
  if (scale.diverging) text += "set object rectangle from graph 0,0 to graph 1,1 behind fs noborder fc rgb '#b5b5b5'\n";
  const std::string line_colour = scale.diverging ? "'#444444'" : "'white'";
  std::string tics;
  std::size_t first = 0;
  for (const row_group& rows_of_group : options.groups) {
    const double centre = static_cast<double>(first) + static_cast<double>(rows_of_group.size) / 2 - 0.5;
    const double share = static_cast<double>(rows_of_group.size) / static_cast<double>(std::max<std::size_t>(rows, 1));
    const auto room = static_cast<std::size_t>(cell * share / 5.2);
    tics += (tics.empty() ? "" : ",") + gnuplot_tick(detail::shortened(rows_of_group.name, room), centre);
    first += rows_of_group.size;
    if (first < rows) {
      const std::string line = gnuplot_number(static_cast<double>(first) - 0.5);
      if (!options.groups_of_rows) {
        text += "set arrow from " + line + ",graph 0 to " + line + ",graph 1 nohead front lc rgb " + line_colour +
                " lw " + thin + "\n";
      }
      text += "set arrow from graph 0,first " + line + " to graph 1,first " + line + " nohead front lc rgb " +
              line_colour + " lw " + thin + "\n";
    }
  }
  const auto numbered = [](const char* axis, std::size_t count) {
    const double step = detail::tick_step(static_cast<double>(count), 8);
    return "set " + std::string{axis} + " 0," + gnuplot_number(step) + " out nomirror scale 0.4 font ',8'\n";
  };
  const std::string labelled = " scale 0 noenhanced font ',8' (";
  const std::string x_tics = !options.column_labels.empty() ? "set xtics rotate by 90 right" + labelled +
                                                                  detail::ticks_of(options.column_labels, cell) + ")\n"
                             : options.groups.empty() || options.groups_of_rows
                                 ? numbered("xtics", columns_of_matrix)
                                 : "set xtics scale 0 offset 0,0.4 noenhanced font ',8' (" + tics + ")\n";
  const std::string y_tics =
      !options.row_labels.empty() ? "set ytics" + labelled + detail::ticks_of(options.row_labels, cell) + ")\n"
      : options.groups.empty()
          ? numbered("ytics", rows)
          : "set ytics scale 0 rotate by 90 center offset -0.7,0 noenhanced font ',8' (" + tics + ")\n";

  const std::string width_of_cell = columns_of_matrix == 1 ? "0.5" : "1", height_of_cell = rows == 1 ? "0.5" : "1";
  const std::string cells = "dx=" + width_of_cell + " dy=" + height_of_cell + " origin=(" +
                            (columns_of_matrix == 1 ? "-0.25" : "0") + "," + (rows == 1 ? "-0.25" : "0") + ")";
  for (std::size_t panel = 0; panel < panels; ++panel) {
    const std::size_t row = panel / across, column = panel % across;
    const double x = left + (cell + gap) * static_cast<double>(column);
    const double y = top + caption + (cell + caption + gap) * static_cast<double>(row);
    text += sheet.margins(x, y, x + cell, y + cell) + "unset label\n";
    text += sheet.heading(
        panel < options.panel_titles.size() ? options.panel_titles[panel] : "layer " + std::to_string(panel),
        x + cell / 2, y - 8, across > 6 ? 8 : 10, cell);
    if (panel == 0 && !options.title.empty()) text += sheet.heading(options.title, width / 2, 17, 13, width);
    text += column == 0 ? y_tics : "unset ytics\n";
    text += panel + across >= panels ? x_tics : "unset xtics\n";
    if (panel + 1 == panels) {
      const double bar_height = std::min(height - top - bottom - caption, 520.0);
      const double bar_bottom = (height + top + caption - bottom + bar_height) / 2;
      text += "set colorbox user vertical origin " + sheet.at(width - right + 16, bar_bottom) + " size screen " +
              gnuplot_number(14 / width) + ", screen " + gnuplot_number(bar_height / height) + "\n";
      text += "set cbtics font ',9' scale 0.5\nset cblabel " + gnuplot_string(options.value_label) +
              " noenhanced font ',10'\n";
    }
    text += "plot data binary skip=" + std::to_string(panel * side * side_across * sizeof(float)) + " array=(" +
            std::to_string(side_across) + "," + std::to_string(side) + ") " + cells + " format='%float' with image";
    if (panel < options.marks.size() && !options.marks[panel].empty()) {
      text += ", data binary skip=" + std::to_string(result.data.size() * sizeof(float)) + " record=(" +
              std::to_string(options.marks[panel].size()) +
              ") format='%float%float' using 1:2 notitle with points pt 5 ps 0.12 lc rgb 'black'";
      for (const auto [marked_row, marked_column] : options.marks[panel]) {
        result.data.push_back(static_cast<float>(marked_column));
        result.data.push_back(static_cast<float>(marked_row) + 0.42f);
      }
    }
    text += "\n";
  }
  text += "unset multiplot\n";
  return result;
}

OPTSCOPE_INLINE picture heatmap(tensor_view<const float, 2> matrix, const heatmap_options& options) {
  heatmap_options single = options;
  if (single.panel_titles.empty()) single.panel_titles = {""};
  const std::size_t rows = matrix.rows(), columns = matrix.cols();
  std::vector<float> packed;
  packed.reserve(rows * columns);
  for (std::size_t row = 0; row < rows; ++row)
    packed.insert(packed.end(), matrix.row(row).begin(), matrix.row(row).end());
  return heatmap(tensor_view<const float, 3>{packed.data(), {1, rows, columns}}, single);
}

}  // namespace optscope::plot
