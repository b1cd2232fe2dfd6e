// SPDX-License-Identifier: MIT
#pragma once
// Maps of vectors, such as the texts and positions of every layer in two dimensions, coloured by category.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/plot/study_report.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope::plot {

/// One map, such as that of a layer.
struct map_panel {
  std::string title{};        ///< "resid_post.3"
  tensor<float, 2> points{};  ///< (vector, dimension)
  std::string note{};         ///< how good it is, in a line
};

/// Maps of the same vectors, each of one or more dimensions.
struct mapped_points {
  std::vector<report_text> texts{};      ///< those of a category are next to each other
  std::vector<report_vector> vectors{};  ///< [vector]: text by text
  std::vector<std::string> axes{};       ///< [dimension]: "component 1"
  std::vector<map_panel> panels{};
};

/// The first two dimensions of all maps, side by side, a colour for each category. Both axes of a map have one scale.
[[nodiscard]] picture scatter(const mapped_points& what, const std::string& title);

/// A section of a report in which one map is seen at a time: a slider goes through them, and pointing at a vector tells
/// its text, position and token, and marks the others of its text. Also `pictures/NAME.*`. The page needs the section
/// of `add_texts`.
void add_points(report& page, std::string_view heading, std::string_view note, std::string name,
                const mapped_points& what);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/points.ipp>
#endif
