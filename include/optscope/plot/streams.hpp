// SPDX-License-Identifier: MIT
#pragma once
// Streams: the value of one hidden dimension over the layers, a line for every text and position.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/palette.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope::plot {

struct streams_options {
  std::string title{}, y_label{};
  std::vector<group> categories{};    ///< of the texts, in order; sizes add up to the texts
  std::vector<std::size_t> layers{};  ///< their numbers; 0, 1, … if empty
  double low = 0.02, high = 0.98;     ///< quantiles that the zoomed panel spans
};

/// The values below which the shares `low` and `high` of the finite values lie, widened by a twentieth.
[[nodiscard]] std::pair<double, double> quantile_range(std::vector<float> values, double low, double high);

/// Draws `values` (layer, text, position) twice: the whole range, and the range between two quantiles. Hue is the
/// category, shade the text.
void streams(tensor_view<const float, 3> values, const streams_options& options, const picture_files& files);

/// The same for one dimension of `values` (layer, text, position, hidden).
void streams(tensor_view<const float, 4> values, std::size_t dimension, const streams_options& options,
             const picture_files& files);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/streams.ipp>
#endif
