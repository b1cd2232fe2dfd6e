// SPDX-License-Identifier: MIT
#pragma once
// Values of many units, such as the effects of all neurons: sorted within each layer, with those that were found
// marked.

#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope::plot {

class report;

/// One map, such as that of a category.
struct ranked_panel {
  std::string title{};
  tensor<float, 2> values{};   ///< (layer, unit); NaN: not known
  std::vector<bool> marked{};  ///< [layer * units + unit]; empty: none
};

/// Maps of the same units. Within a layer the largest value is on the left, NaN grey on the right; a black line below a
/// row marks what was found. Zero is in the middle of the colours, whose range leaves out the largest half of a
/// percent.
struct ranked_units {
  std::string unit = "unit";  ///< what one is called: "neuron"
  std::string value_label = "g";
  std::string mark_label = "found";
  std::vector<ranked_panel> panels{};
  std::string note_label{};          ///< what a note is: "highest at"
  std::vector<std::string> notes{};  ///< [layer * units + unit], told where a unit is pointed at; empty: none
};

/// The maps side by side. Units that are more than a picture can show are drawn as means of neighbours.
[[nodiscard]] picture ranked(const ranked_units& what, const std::string& title);

/// A section of a report in which a unit is looked up by mouse and keyboard, and `pictures/NAME.*`. What is too large
/// for a page is shown as a picture.
void add_ranked(report& page, std::string_view heading, std::string_view note, std::string name,
                const ranked_units& what);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/ranked.ipp>
#endif
