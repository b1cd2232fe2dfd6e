// SPDX-License-Identifier: MIT
#pragma once
// Bodies of streams.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/streams.hpp>

namespace optscope::plot {

OPTSCOPE_INLINE std::pair<double, double> quantile_range(std::vector<float> values, double low, double high) {
  values.erase(std::remove_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); }), values.end());
  if (values.empty()) return {0, 1};
  const auto at = [&](double share) {
    const auto place = static_cast<std::ptrdiff_t>(std::lround(share * static_cast<double>(values.size() - 1)));
    std::nth_element(values.begin(), values.begin() + place, values.end());
    return static_cast<double>(values[static_cast<std::size_t>(place)]);
  };
  const std::pair<double, double> range{at(low), at(high)};
  const double margin = std::max((range.second - range.first) * 0.05, std::abs(range.first) * 1e-4 + 1e-6);
  return {range.first - margin, range.second + margin};
}

OPTSCOPE_INLINE void streams(tensor_view<const float, 3> values, const streams_options& options,
                             const picture_files& files) {
  const std::size_t layers = values.extent(0), texts = values.extent(1), positions = values.extent(2);
  line_panel whole{"whole range", {}, std::nullopt};
  std::size_t text = 0;
  std::vector<group> categories = options.categories;
  if (categories.empty()) categories = {{"", texts}};
  for (std::size_t category = 0; category < categories.size(); ++category) {
    const std::size_t members = categories[category].size;
    line_series entry;  // of the legend, without points
    entry.name = categories[category].name;
    entry.colour = hue(category);
    whole.series.push_back(std::move(entry));
    for (std::size_t member = 0; member < members && text < texts; ++member, ++text) {
      for (std::size_t position = 0; position < positions; ++position) {
        line_series line;
        line.colour = shade(category, member, members);
        line.width = 0.6;
        for (std::size_t layer = 0; layer < layers; ++layer) {
          line.x.push_back(static_cast<double>(layer < options.layers.size() ? options.layers[layer] : layer));
          line.y.push_back(values(layer, text, position));
        }
        whole.series.push_back(std::move(line));
      }
    }
  }
  std::vector<float> all;
  for (std::size_t layer = 0; layer < layers; ++layer)
    all.insert(all.end(), values.row(layer).begin(), values.row(layer).end());
  line_panel zoomed = whole;
  zoomed.title = "without the outermost values";
  zoomed.y_range = quantile_range(std::move(all), options.low, options.high);
  lines(std::vector<line_panel>{whole, zoomed}, {options.title, "layer", options.y_label}, files);
}

OPTSCOPE_INLINE void streams(tensor_view<const float, 4> values, std::size_t dimension, const streams_options& options,
                             const picture_files& files) {
  const auto& shape = values.shape();
  tensor<float, 3> chosen{{shape[0], shape[1], shape[2]}};
  for (std::size_t layer = 0; layer < shape[0]; ++layer)
    for (std::size_t i = 0; i < shape[1] * shape[2]; ++i)
      chosen.row(layer)[i] = values.row(layer)[i * shape[3] + dimension];
  streams(chosen.view(), options, files);
}

}  // namespace optscope::plot
