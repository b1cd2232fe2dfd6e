// SPDX-License-Identifier: MIT
#pragma once
// Bodies of spectra_report.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/label.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/plot/spectra_report.hpp>

namespace optscope::plot {

namespace detail {

inline constexpr rgb grey{150, 150, 150};

/// Points of a curve that show all of its shape: evenly spaced ones, and both ends of the steepest fall between them.
inline std::pair<std::vector<double>, std::vector<double>> points_of(const spectrum_curve& curve, double lowest) {
  std::vector<double> x, y;
  const double top = curve.largest > 0 ? curve.largest : 1;
  if (curve.values.empty()) {
    for (std::size_t i = 0; i < curve.counts.size(); ++i) {
      x.push_back(curve.counts[i]);
      y.push_back(curve.thresholds[i] / top);
    }
    return {x, y};
  }
  const std::size_t n = curve.values.size();
  const auto at = [&](std::size_t i) { return std::max(curve.values[i] / top, lowest); };
  const auto add = [&](std::size_t i) {
    x.push_back(static_cast<double>(i + 1));
    y.push_back(at(i));
  };
  std::size_t last = 0;
  add(0);
  constexpr std::size_t steps = 400;
  for (std::size_t step = 1; step <= steps; ++step) {
    const std::size_t next = (n - 1) * step / steps;
    if (next == last) continue;
    std::size_t steepest = last;
    for (std::size_t i = last; i < next; ++i) {
      if (at(i) / at(i + 1) > at(steepest) / at(steepest + 1)) steepest = i;
    }
    if (next > last + 1 && at(steepest) > 1.3 * at(steepest + 1)) {
      if (steepest != last) add(steepest);
      if (steepest + 1 != next) add(steepest + 1);
    }
    add(next);
    last = next;
  }
  return {x, y};
}

inline line_series line_of(std::string name, rgb colour, std::vector<double> x, std::vector<double> y,
                           double width = 1.2, bool dashed = false) {
  line_series line;
  line.name = std::move(name);
  line.colour = colour;
  line.x = std::move(x);
  line.y = std::move(y);
  line.width = width;
  line.dashed = dashed;
  return line;
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<line_panel> spectrum_panels(const spectra_set& set) {
  std::vector<line_panel> panels;
  for (std::size_t block = 0; block < set.blocks.size(); ++block) {
    double most = 1, floor = 1;  // the lowest of the noise; sampled curves end at their own
    for (const spectrum_curve& curve : set.curves[block]) {
      const double relative = curve.largest > 0 ? curve.floor / curve.largest : 0;
      if (relative > 0) floor = std::min(floor, relative);
      most = std::max(most, static_cast<double>(curve.size));
    }
    const double bottom = std::max(floor / 30, 1e-17);
    line_panel panel;
    panel.title = set.blocks[block];
    panel.y_range = {bottom, 2.0};
    const double right = set.shares ? 1 : most;
    if (floor < 1) {
      line_series shade = detail::line_of("noise", detail::grey, {set.shares ? 0.0 : 1.0, right}, {floor, floor}, 0.5);
      shade.low = {bottom, bottom};
      shade.high = {floor, floor};
      panel.series.push_back(std::move(shade));
    }
    for (const spectrum_curve& curve : set.curves[block]) {
      const double unit = set.shares ? static_cast<double>(curve.size) : 1;
      auto [x, y] = detail::points_of(curve, bottom);
      const auto scale = [unit](std::vector<double>& places) {
        for (double& place : places) place /= unit;
      };
      for (const double sign : {-1.0, 1.0}) {  // of a sampled curve: the counts less and plus their errors
        if (curve.values.empty() && !curve.errors.empty()) {
          std::vector<double> off = curve.counts;
          for (std::size_t i = 0; i < off.size(); ++i)
            off[i] = std::clamp(off[i] + sign * curve.errors[i], 0.0, static_cast<double>(curve.size));
          // No fewer lie above a lower threshold: a bound holds from there on, or up to there.
          for (std::size_t i = 1; i < off.size(); ++i) {
            if (sign < 0) off[i] = std::max(off[i], off[i - 1]);
          }
          for (std::size_t i = off.size(); i-- > 1;) {
            if (sign > 0) off[i - 1] = std::min(off[i - 1], off[i]);
          }
          scale(off);
          panel.series.push_back(detail::line_of("", curve.colour, off, y, 0.4));
        }
      }
      scale(x);
      panel.series.push_back(detail::line_of(curve.name, curve.colour, x, y));
      if (curve.bound != 0) {
        const double place = static_cast<double>(curve.bound) / unit;
        panel.series.push_back(detail::line_of("", curve.colour, {place, place}, {1.01 * bottom, 1.98}, 1, true));
      }
    }
    panels.push_back(std::move(panel));
  }
  return panels;
}

OPTSCOPE_INLINE std::vector<line_panel> width_panels(const std::vector<width_panel>& widths) {
  std::vector<line_panel> panels;
  for (const width_panel& width : widths) {
    line_panel panel;
    panel.title = width.block;
    double low = 1, high = 0;
    for (std::size_t i = 0; i < width.notions.size(); ++i) {
      const auto& [name, values] = width.notions[i];
      for (const double value : values) {
        if (!std::isfinite(value) || value <= 0) continue;
        low = std::min(low, value);
        high = std::max(high, value);
      }
      panel.series.push_back(detail::line_of(name, hue(i), width.layers, values, i == 0 ? 2 : 1.2));
    }
    // Whole decades, so that the axis has labels.
    low = std::pow(10, std::floor(std::log10(low)));
    panel.y_range = {low, std::max(10 * low, std::pow(10, std::ceil(std::log10(std::max(high, low)))))};
    if (width.tight_pass) {
      panel.series.push_back(detail::line_of(
          width.inside && width.stands_out.value_or(false) ? "tight pass" : "narrowest", {29, 31, 35},
          {*width.tight_pass, *width.tight_pass}, {1.01 * panel.y_range->low, 0.99 * panel.y_range->high}, 1.2, true));
    }
    panels.push_back(std::move(panel));
  }
  return panels;
}

namespace detail {

inline constexpr const char* spectra_note =
    "Each value relative to the largest of its spectrum. Grey: below the noise floor. Dashed, in the curve's colour: "
    "the "
    "largest rank that the structure allows. A sampled spectrum has thin lines for its error and ends where nothing is "
    "told apart any more.";

inline lines_options options_of(const spectra_set& set) {
  lines_options options;
  options.title = set.title;
  options.x_label = set.shares ? "index / number of values" : "index";
  options.y_label = "singular value / largest";
  options.log_y = true;
  return options;
}

inline lines_options width_options() {
  lines_options options;
  options.title = "Width over the layers";
  options.y_label = "rank / structural bound";
  options.log_y = true;
  return options;
}

inline void add_pictures(report& page, const spectra_report& content) {
  for (const spectra_set& set : content.sets) {
    std::vector<line_panel> panels = spectrum_panels(set);
    lines_options options = options_of(set);
    options.levels = set.levels;
    for (line_panel& panel : panels) {
      for (line_series& series : panel.series) {
        if (set.levels) series.name.clear();  // a colour bar in the place of the legend
      }
    }
    page.picture_file("spectra-" + set.name, lines(panels, options));
  }
  if (!content.widths.empty()) page.picture_file("width", lines(width_panels(content.widths), width_options()));
  for (const overlap_set& set : content.overlaps) {
    if (set.panels.empty()) continue;
    const std::size_t rows = set.rows.size();
    tensor<float, 3> all{{set.panels.size(), rows, rows}};
    heatmap_options options;
    options.title = set.title;
    options.value_label = "mean squared cosine";
    options.groups = set.groups;
    options.range = {{0, 1}};
    options.columns = 2;
    for (std::size_t i = 0; i < set.panels.size(); ++i) {
      options.panel_titles.push_back(set.panels[i].title);
      std::copy_n(set.panels[i].values.data(), rows * rows, all.row(i).data());
    }
    page.picture_file("directions-" + set.name, heatmap(all.view(), options));
  }
}

}  // namespace detail

OPTSCOPE_INLINE report make_report(const spectra_report& content) {
  report page{content.title, content.model};
  if (!content.facts.empty()) page.facts("Model and run", content.facts);
  for (const spectra_set& set : content.sets) {
    const std::vector<line_panel> panels = spectrum_panels(set);
    page.chart(set.title, detail::spectra_note, panels, detail::options_of(set));
  }
  if (!content.widths.empty()) {
    std::string note = "Several notions of rank, each relative to the largest rank that the structure allows.";
    for (const width_panel& width : content.widths) {
      if (!width.verdict.empty()) note += " " + width.block + ": " + width.verdict;
    }
    page.chart("Width over the layers", note, width_panels(content.widths), detail::width_options());
  }
  for (const spectra_table& table : content.tables) page.table(table.title, table.columns, table.rows);
  for (const overlap_set& set : content.overlaps) {
    std::vector<std::string> columns{"mean squared cosine"};
    columns.insert(columns.end(), set.rows.begin(), set.rows.end());
    std::vector<std::vector<std::string>> rows;
    for (const overlap_panel& panel : set.panels) {
      for (std::size_t i = 0; i < set.rows.size(); ++i) {
        std::vector<std::string>& row = rows.emplace_back(1, panel.title + ": " + set.rows[i]);
        for (std::size_t j = 0; j < set.rows.size(); ++j)
          row.push_back(gnuplot_number(std::round(100 * static_cast<double>(panel.values(i, j))) / 100));
      }
    }
    if (!rows.empty()) page.table(set.title, columns, rows);
  }
  page.notes("How to read this page", content.notes);
  detail::add_pictures(page, content);
  return page;
}

}  // namespace optscope::plot
