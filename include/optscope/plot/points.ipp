// SPDX-License-Identifier: MIT
#pragma once
// Bodies of points.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/json_writer.hpp>
#include <optscope/plot/label.hpp>
#include <optscope/plot/layout.hpp>
#include <optscope/plot/palette.hpp>
#include <optscope/plot/points.hpp>
#include <utility>

namespace optscope::plot {

OPTSCOPE_INLINE picture scatter(const mapped_points& what, const std::string& title) {
  const std::vector<row_group> groups = groups_of(what.texts);
  std::vector<std::size_t> category;  // [text]
  for (std::size_t c = 0; c < groups.size(); ++c) category.insert(category.end(), groups[c].size, c);
  std::size_t longest = 0;
  for (const row_group& each : groups) longest = std::max(longest, detail::shortened(each.name, 30).size());

  const std::size_t panels = what.panels.size(), across = std::min<std::size_t>(panels, panels > 9 ? 4 : 3),
                    down = across == 0 ? 1 : (panels + across - 1) / across;
  const double cell = panels == 1 ? 420 : panels > 9 ? 190 : 230, gap = 14, caption = 18, left = 14, top = 40;
  const double right = 36 + 5.6 * static_cast<double>(longest);
  picture result;
  result.width = left + (cell + gap) * static_cast<double>(std::max<std::size_t>(across, 1)) + right;
  result.height = top + (cell + caption + gap) * static_cast<double>(down);
  const detail::page sheet{result.width, result.height};
  std::string& text = result.commands;
  text = "set multiplot\nunset key\nunset tics\nset border lw 0.5 lc rgb '#444444'\n";
  for (std::size_t p = 0; p < panels; ++p) {
    const map_panel& panel = what.panels[p];
    const double x = left + (cell + gap) * static_cast<double>(p % across),
                 y = top + caption + (cell + caption + gap) * static_cast<double>(p / across);
    text += sheet.margins(x, y, x + cell, y + cell) + "unset label\n";
    if (p == 0) text += sheet.heading(title, (result.width - right) / 2, 17, 13, result.width);
    text += sheet.heading(panel.title, x + cell / 2, y - 8, 10, cell);
    double low[2] = {INFINITY, INFINITY}, high[2] = {-INFINITY, -INFINITY};
    const auto place = [&](std::size_t i, std::size_t axis) {
      return axis < panel.points.cols() ? static_cast<double>(panel.points(i, axis)) : 0;
    };
    for (std::size_t i = 0; i < panel.points.rows(); ++i) {
      for (const std::size_t axis : {0, 1}) {
        low[axis] = std::min(low[axis], place(i, axis));
        high[axis] = std::max(high[axis], place(i, axis));
      }
    }
    double half = std::max(high[0] - low[0], high[1] - low[1]) * 0.53;
    if (!(half > 0)) half = 1;
    for (const std::size_t axis : {0, 1}) {
      const double middle = panel.points.rows() > 0 ? (low[axis] + high[axis]) / 2 : 0;
      text += std::string{axis == 0 ? "set xrange [" : "set yrange ["} + gnuplot_number(middle - half) + ":" +
              gnuplot_number(middle + half) + "]\n";
    }
    std::string curves;
    const std::string size =
        gnuplot_number(std::clamp(8 / std::sqrt(1.0 + static_cast<double>(panel.points.rows())), 0.15, 0.7));
    for (std::size_t c = 0; c < groups.size(); ++c) {
      const std::size_t skip = result.data.size();
      for (std::size_t i = 0; i < panel.points.rows(); ++i) {
        if (category[what.vectors[i].text] != c) continue;
        for (const std::size_t axis : {0, 1}) result.data.push_back(static_cast<float>(place(i, axis)));
      }
      const std::size_t count = (result.data.size() - skip) / 2;
      if (count == 0) continue;
      curves += "data binary skip=" + std::to_string(skip * sizeof(float)) + " record=(" + std::to_string(count) +
                ") format='%float%float' using 1:2 notitle with points pt 7 ps " + size + " lc rgb '" + hex(hue(c)) +
                "', ";
    }
    if (curves.empty()) curves = "NaN notitle, ";
    if (p + 1 == panels) {
      text += "set key at " + sheet.at(result.width - right + 4, top + caption) +
              " left top Left reverse noenhanced samplen 1 spacing 1.15 font ',9'\n";
      for (std::size_t c = 0; c < groups.size(); ++c) {
        curves += "keyentry with points pt 7 ps 0.7 lc rgb '" + hex(hue(c)) + "' title " +
                  gnuplot_string(detail::shortened(groups[c].name, 30)) + ", ";
      }
    }
    text += "plot " + curves.substr(0, curves.size() - 2) + "\n";
  }
  text += "unset multiplot\n";
  return result;
}

OPTSCOPE_INLINE void add_points(report& page, std::string_view heading, std::string_view note, std::string name,
                                const mapped_points& what) {
  if (what.panels.empty()) return;
  page.picture_file(std::move(name), scatter(what, std::string{heading}));
  json_writer json = page.begin("points", heading);
  json.field("note", note).list("axes", what.axes).key("vectors").begin_array();
  for (const report_vector& each : what.vectors) {
    json.begin_array().value(each.text).value(each.position).value(each.token).end_array();
  }
  json.end_array().key("panels").begin_array();
  for (const map_panel& panel : what.panels) {
    json.begin_object().field("title", panel.title).field("note", panel.note).key("values");
    json.raw(page.float32({panel.points.data(), panel.points.size()})).end_object();
  }
  json.end_array();
  page.end(json);
}

}  // namespace optscope::plot
