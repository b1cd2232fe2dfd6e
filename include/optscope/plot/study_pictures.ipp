// SPDX-License-Identifier: MIT
#pragma once
// Bodies of study_pictures.hpp.

#include <algorithm>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/streams.hpp>
#include <optscope/plot/study_pictures.hpp>
#include <string>

namespace optscope::plot {

namespace detail {

inline line_panel curves_panel(const study_report& study, const report_curves& curves) {
  const auto series = [&](const char* name, std::size_t colour, const std::vector<double>& means) {
    line_series line;
    line.name = name;
    line.colour = hue(colour);
    line.x.assign(study.layers.begin(), study.layers.end());
    line.y = means;
    return line;
  };
  return {"",
          {series("within a text", 0, curves.within_text), series("within a category", 1, curves.within_category),
           series("between categories", 2, curves.between_categories)},
          std::nullopt};
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<drawing> study_pictures(const study_report& study, const std::filesystem::path& folder,
                                                    const std::vector<std::size_t>& dimensions) {
  std::vector<drawing> pictures;
  const auto files = [&](const std::string& name) {
    picture_files result{folder / name};
    result.batch = &pictures;
    return result;
  };
  for (const report_matrices& matrices : study.matrices) {
    const std::size_t rows = matrices.values.extent(1) / study.texts.size();
    const bool one = matrices.set != study.sets.front().name;
    heatmap_options options;
    options.title = matrices.site + ", " + matrices.metric + (one ? ", " + matrices.set : "");
    options.value_label = matrices.metric;
    for (const std::size_t layer : study.layers) options.panel_titles.push_back("layer " + std::to_string(layer));
    options.groups = groups_of(study.texts, rows);
    heatmap(matrices.values, options, files(matrices.site + "-" + matrices.metric + (one ? "-last" : "")));
  }
  for (const report_curves& curves : study.curves) {
    const line_panel panel = detail::curves_panel(study, curves);
    lines({&panel, 1}, {.title = curves.site + ", mean " + curves.metric, .y_label = curves.metric},
          files("similarity-" + curves.site + "-" + curves.metric));
  }
  for (const report_streams& streams : study.streams) {
    std::vector<std::size_t> drawn = dimensions;
    for (std::size_t i = 0; dimensions.empty() && i < std::min<std::size_t>(3, streams.best.size()); ++i) {
      drawn.push_back(streams.best[i].dimension);
    }
    for (const std::size_t dimension : drawn) {
      streams_options options;
      options.title = streams.site + ", dimension " + std::to_string(dimension);
      options.y_label = "activation";
      options.categories = groups_of(study.texts);
      options.layers = study.layers;
      plot::streams(streams.values, dimension, options,
                    files("stream-" + streams.site + "-" + std::to_string(dimension)));
    }
  }
  return pictures;
}

}  // namespace optscope::plot
