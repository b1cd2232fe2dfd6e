// SPDX-License-Identifier: MIT
#pragma once
// Bodies of ranked.hpp.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <map>
#include <numeric>
#include <optscope/core/json_writer.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/ranked.hpp>
#include <optscope/plot/report.hpp>
#include <span>
#include <utility>

namespace optscope::plot {

namespace detail {

/// The units of a row, the largest value first, NaN last.
inline std::vector<std::size_t> by_value(std::span<const float> values) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto value = [&](std::size_t i) { return std::isnan(values[i]) ? -INFINITY : values[i]; };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return value(a) > value(b); });
  return order;
}

/// Half the range of the colours: of all panels, without the largest half of a percent.
inline double usual_size(const ranked_units& what) {
  std::vector<float> sizes;
  for (const ranked_panel& panel : what.panels) {
    for (std::size_t layer = 0; layer < panel.values.rows(); ++layer) {
      for (const float value : panel.values.row(layer)) {
        if (std::isfinite(value)) sizes.push_back(std::abs(value));
      }
    }
  }
  if (sizes.empty()) return 1;
  const auto high = sizes.begin() + static_cast<std::ptrdiff_t>(0.995 * static_cast<double>(sizes.size() - 1));
  std::nth_element(sizes.begin(), high, sizes.end());
  return std::max(static_cast<double>(*high), 1e-6);
}

}  // namespace detail

OPTSCOPE_INLINE picture ranked(const ranked_units& what, const std::string& title) {
  constexpr std::size_t widest = 1024;  // columns that a panel can show
  const std::size_t panels = what.panels.size(), layers = panels == 0 ? 0 : what.panels[0].values.rows(),
                    units = panels == 0 ? 0 : what.panels[0].values.extent(1), columns = std::min(units, widest);
  tensor<float, 3> maps{{panels, layers, columns}};
  heatmap_options options{.title = title, .value_label = what.value_label, .diverging = true, .columns = 2};
  for (std::size_t p = 0; p < panels; ++p) {
    const ranked_panel& panel = what.panels[p];
    options.panel_titles.push_back(panel.title);
    options.marks.emplace_back();
    for (std::size_t layer = 0; layer < layers; ++layer) {
      const std::span<const float> values = panel.values.row(layer);
      const std::vector<std::size_t> order = detail::by_value(values);
      for (std::size_t column = 0; column < columns; ++column) {
        const std::size_t first = column * units / columns, last = (column + 1) * units / columns;
        double sum = 0;
        bool marked = false;
        for (std::size_t rank = first; rank < last; ++rank) {
          sum += static_cast<double>(values[order[rank]]);
          marked = marked || (!panel.marked.empty() && panel.marked[layer * units + order[rank]]);
        }
        maps(p, layer, column) = static_cast<float>(sum / static_cast<double>(last - first));
        if (marked) options.marks.back().push_back({layer, column});
      }
    }
  }
  const double size = detail::usual_size(what);
  options.range = value_range{.low = -size, .high = size};
  return heatmap(maps.view(), options);
}

OPTSCOPE_INLINE void add_ranked(report& page, std::string_view heading, std::string_view note, std::string name,
                                const ranked_units& what) {
  constexpr std::size_t most_values = 4'000'000;  // in a page
  if (what.panels.empty()) return;
  const std::size_t layers = what.panels[0].values.rows(), units = what.panels[0].values.extent(1);
  picture drawn = ranked(what, std::string{heading} + ": layer (down), rank (across), black: " + what.mark_label);
  if (layers * units * what.panels.size() > most_values) return page.picture(heading, note, std::move(name), drawn);
  page.picture_file(std::move(name), std::move(drawn));

  json_writer json = page.begin("ranked", heading);
  json.field("note", note).field("unit", what.unit).field("valueLabel", what.value_label);
  json.field("markLabel", what.mark_label).field("noteLabel", what.note_label).field("layers", layers);
  json.field("units", units).field("size", detail::usual_size(what)).key("panels").begin_array();
  for (const ranked_panel& panel : what.panels) {
    std::vector<float> values;
    for (std::size_t layer = 0; layer < layers; ++layer)
      values.insert(values.end(), panel.values.row(layer).begin(), panel.values.row(layer).end());
    json.begin_object().field("title", panel.title).key("values").raw(page.float16(values)).key("marked").begin_array();
    for (std::size_t i = 0; i < panel.marked.size(); ++i) {
      if (panel.marked[i]) json.value(i);
    }
    json.end_array().end_object();
  }
  json.end_array();
  std::map<std::string_view, std::size_t> known;  // each note once
  std::vector<std::string_view> notes;
  json.key("noteOf").begin_array();
  for (const std::string& each : what.notes) {
    const auto [place, fresh] = known.emplace(each, notes.size());
    if (fresh) notes.push_back(each);
    json.value(place->second);
  }
  json.end_array().list("notes", notes);
  page.end(json);
}

}  // namespace optscope::plot
