// SPDX-License-Identifier: MIT
#pragma once
// Bodies of streams.hpp.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/palette.hpp>
#include <optscope/plot/streams.hpp>
#include <utility>

namespace optscope::plot {

OPTSCOPE_INLINE value_range quantile_range(std::vector<float> values, value_range shares) {
  values.erase(std::remove_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); }), values.end());
  if (values.empty()) return {.low = 0, .high = 1};
  const auto at = [&](double share) {
    const auto place = static_cast<std::ptrdiff_t>(std::lround(share * static_cast<double>(values.size() - 1)));
    std::nth_element(values.begin(), values.begin() + place, values.end());
    return static_cast<double>(values[static_cast<std::size_t>(place)]);
  };
  const value_range range{.low = at(shares.low), .high = at(shares.high)};
  const double spread = range.high - range.low;
  const double margin = spread > 0 ? spread * 0.05 : std::abs(range.low) * 0.5 + 1e-6;
  return {.low = range.low - margin, .high = range.high + margin};
}

OPTSCOPE_INLINE picture streams(tensor_view<const float, 3> values, const streams_options& options) {
  const std::size_t layers = values.extent(0), texts = values.extent(1), positions = values.extent(2);
  std::vector<row_group> categories = options.categories;
  if (categories.empty()) categories = {{.name = "", .size = texts}};
  line_panel whole{.title = "whole range"};
  std::size_t first = 0;  // text of the category
  for (std::size_t category = 0; category < categories.size(); ++category) {
    const auto& [name, members] = categories[category];
    // The entry of the legend is a line without points.
    whole.series.push_back({.name = name, .colour = hue(category)});
    for (std::size_t text = first; text < std::min(first + members, texts); ++text) {
      for (std::size_t position = 0; position < positions; ++position) {
        line_series line{.colour = shade(category, text - first, members), .width = 0.6};
        for (std::size_t layer = 0; layer < layers; ++layer) {
          line.x.push_back(static_cast<double>(layer < options.layers.size() ? options.layers[layer] : layer));
          line.y.push_back(values(layer, text, position));
        }
        whole.series.push_back(std::move(line));
      }
    }
    first += members;
  }
  std::vector<float> all;
  for (std::size_t layer = 0; layer < layers; ++layer)
    all.insert(all.end(), values.row(layer).begin(), values.row(layer).end());
  line_panel zoomed = whole;
  zoomed.title = "without the outermost values";
  zoomed.y_range = quantile_range(std::move(all), options.zoomed_shares);
  return lines(std::vector<line_panel>{whole, zoomed}, {.title = options.title, .y_label = options.y_label});
}

OPTSCOPE_INLINE picture streams(tensor_view<const float, 4> values, std::size_t dimension,
                                const streams_options& options) {
  const auto& shape = values.shape();
  tensor<float, 3> chosen{{shape[0], shape[1], shape[2]}};
  for (std::size_t layer = 0; layer < shape[0]; ++layer)
    for (std::size_t i = 0; i < shape[1] * shape[2]; ++i)
      chosen.row(layer)[i] = values.row(layer)[i * shape[3] + dimension];
  return streams(chosen.view(), options);
}

}  // namespace optscope::plot
