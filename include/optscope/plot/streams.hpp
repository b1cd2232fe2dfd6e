// SPDX-License-Identifier: MIT
#pragma once
// Streams: the value of one hidden dimension over the layers, one line per text and position.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/plot/axes.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <string>
#include <vector>

namespace optscope::plot {

struct streams_options {
  std::string title{}, y_label{};
  std::vector<row_group> categories{};                   ///< of the texts, in order; their sizes add up to the texts
  std::vector<std::size_t> layers{};                     ///< their numbers; if empty, 0, 1, …
  value_range zoomed_shares{.low = 0.02, .high = 0.98};  ///< the second panel spans these quantiles of the values
};

/// The quantiles of the finite values at `shares` (in [0, 1]), widened by a twentieth of their distance. O(values).
[[nodiscard]] value_range quantile_range(std::vector<float> values, value_range shares);

/// `values` (layer, text, position) in two panels: the whole range, and the range between two quantiles. A category
/// has a hue, a text a shade of it.
[[nodiscard]] picture streams(tensor_view<const float, 3> values, const streams_options& options = {});

/// The same for one dimension of `values` (layer, text, position, hidden).
[[nodiscard]] picture streams(tensor_view<const float, 4> values, std::size_t dimension,
                              const streams_options& options = {});

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/streams.ipp>
#endif
