// SPDX-License-Identifier: MIT
#pragma once
// Bodies of spectra_report.hpp.

#include <algorithm>
#include <cmath>
#include <numeric>
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

/// The counts of a sampled spectrum less (`sign` = -1) or plus (1) their errors. Lower thresholds are exceeded by at
/// least as many values: a lower bound holds from its threshold on, an upper bound up to it.
inline std::vector<double> count_bounds(const spectrum_curve& curve, double sign) {
  std::vector<double> bounds = curve.counts;
  for (std::size_t i = 0; i < bounds.size(); ++i)
    bounds[i] = std::clamp(bounds[i] + sign * curve.errors[i], 0.0, static_cast<double>(curve.size));
  if (sign < 0) {
    std::partial_sum(bounds.begin(), bounds.end(), bounds.begin(), [](double a, double b) { return std::max(a, b); });
  } else {
    std::partial_sum(bounds.rbegin(), bounds.rend(), bounds.rbegin(),
                     [](double a, double b) { return std::min(a, b); });
  }
  return bounds;
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<line_panel> spectrum_panels(const spectra_set& set) {
  std::vector<line_panel> panels;
  for (std::size_t block = 0; block < set.blocks.size(); ++block) {
    double most = 1, floor = 1;  // the lowest noise floor of all curves; a sampled curve ends at its own
    for (const spectrum_curve& curve : set.curves[block]) {
      const double relative = curve.largest > 0 ? curve.floor / curve.largest : 0;
      if (relative > 0) floor = std::min(floor, relative);
      most = std::max(most, static_cast<double>(curve.size));
    }
    const double bottom = std::max(floor / 30, 1e-17);
    line_panel panel;
    panel.title = set.blocks[block];
    panel.y_range = value_range{.low = bottom, .high = 2};
    const double right = set.shares ? 1 : most;
    if (floor < 1) {
      panel.series.push_back({.name = "noise",
                              .x = {set.shares ? 0.0 : 1.0, right},
                              .y = {floor, floor},
                              .low = {bottom, bottom},
                              .high = {floor, floor},
                              .colour = detail::grey,
                              .width = 0.5});
    }
    for (const spectrum_curve& curve : set.curves[block]) {
      const double unit = set.shares ? static_cast<double>(curve.size) : 1;
      auto [x, y] = detail::points_of(curve, bottom);
      const auto scale = [unit](std::vector<double>& places) {
        for (double& place : places) place /= unit;
      };
      if (curve.values.empty() && !curve.errors.empty()) {
        for (const double sign : {-1.0, 1.0}) {
          std::vector<double> bounds = detail::count_bounds(curve, sign);
          scale(bounds);
          panel.series.push_back({.x = std::move(bounds), .y = y, .colour = curve.colour, .width = 0.4});
        }
      }
      scale(x);
      panel.series.push_back({.name = curve.name, .x = x, .y = y, .colour = curve.colour, .width = 1.2});
      if (curve.bound != 0) {
        const double place = static_cast<double>(curve.bound) / unit;
        panel.series.push_back(
            {.x = {place, place}, .y = {1.01 * bottom, 1.98}, .colour = curve.colour, .width = 1, .dashed = true});
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
    const auto reach = [&](const std::vector<double>& values) {
      for (const double value : values) {
        if (!std::isfinite(value) || value <= 0) continue;
        low = std::min(low, value);
        high = std::max(high, value);
      }
    };
    if (width.of_texts.size() > 1) {
      for (const std::vector<double>& values : width.of_texts) {
        reach(values);
        panel.series.push_back({.x = width.layers, .y = values, .colour = hue(0), .width = 0.3});
      }
    }
    for (std::size_t i = 0; i < width.notions.size(); ++i) {
      const auto& [name, values] = width.notions[i];
      reach(values);
      panel.series.push_back(
          {.name = name, .x = width.layers, .y = values, .colour = hue(i), .width = i == 0 ? 2 : 1.2});
    }
    // Whole decades, so that the axis has labels.
    low = std::pow(10, std::floor(std::log10(low)));
    const double top = std::max(10 * low, std::pow(10, std::ceil(std::log10(std::max(high, low)))));
    panel.y_range = value_range{.low = low, .high = top};
    if (width.narrowest) {
      panel.series.push_back({.name = width.is_tight_pass ? "tight pass" : "narrowest",
                              .x = {*width.narrowest, *width.narrowest},
                              .y = {1.01 * low, 0.99 * top},
                              .colour = {29, 31, 35},
                              .width = 1.2,
                              .dashed = true});
    }
    panels.push_back(std::move(panel));
  }
  return panels;
}

namespace detail {

inline constexpr const char* spectra_note =
    "Values relative to the largest of their spectrum. Grey: below the noise floor. Dashed, in the colour of the "
    "curve: "
    "the largest rank that the structure allows. A sampled spectrum has thin lines at its error bounds, which hold for "
    "each threshold by itself, and ends at "
    "its "
    "resolution limit.";

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
    options.range = value_range{.low = 0, .high = 1};
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
    if (content.widths[0].of_texts.size() > 1)
      note += " Thin lines: effective rank at single texts; the others: means.";
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
