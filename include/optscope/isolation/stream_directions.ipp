// SPDX-License-Identifier: MIT
#pragma once
// Bodies of stream_directions.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/isolation/stream_directions.hpp>
#include <optscope/spectrum/directions.hpp>
#include <optscope/spectrum/products.hpp>
#include <optscope/spectrum/symmetric_pair.hpp>
#include <string>

namespace optscope {

OPTSCOPE_INLINE layer_directions directions_of(const stream_moments& moments, std::size_t layer, std::size_t kept) {
  const std::size_t hidden = moments.hidden();
  const std::vector<double> mean = moments.mean(layer, kept);
  tensor<double, 2> own{{hidden, hidden}}, others{{hidden, hidden}};
  moments.add_spread(layer, kept, mean, 1, own);
  for (std::size_t c = 0; c < moments.categories(); ++c) {
    if (c != kept) moments.add_spread(layer, c, mean, 1 / static_cast<double>(moments.categories() - 1), others);
  }
  double variance = 0;
  for (std::size_t i = 0; i < hidden; ++i) variance += own(i, i) / static_cast<double>(hidden);
  if (!(variance > 0)) {
    throw bad_input{"", "directions of the stream into layer " + std::to_string(layer),
                    "texts of the kept category in which it varies", "a variance of " + std::to_string(variance)};
  }
  for (std::size_t i = 0; i < hidden; ++i) own(i, i) += 1e-3 * variance;
  const pair_vectors found = eigenvectors_of_pair(others, own);
  tensor<double, 2> left{{hidden, hidden}};
  product::ab<double>(found.rows, own, left.view());
  return {.ratio = found.values,
          .basis = std::make_shared<const stream_basis>(stream_basis{
              .left = rounded<float>(left), .right = rounded<float>(found.rows), .bias = {mean.begin(), mean.end()}})};
}

OPTSCOPE_INLINE std::vector<layer_directions> directions_of(const stream_moments& moments, std::size_t kept) {
  std::vector<layer_directions> result(1);
  for (std::size_t layer = 1; layer < moments.layers(); ++layer) {
    result.push_back(directions_of(moments, layer, kept));
  }
  return result;
}

OPTSCOPE_INLINE removal removal_of(std::span<const std::size_t> numbers, const unit_table& units,
                                   const std::vector<layer_directions>& all) {
  std::vector<std::size_t> sorted(numbers.begin(), numbers.end());
  std::ranges::sort(sorted);
  removal result;
  result.layers.resize(units.layers());
  for (const std::size_t number : sorted) {
    const unit what = units[number];
    result.layers[what.layer].directions.push_back(what.index);
    result.layers[what.layer].basis = all[what.layer].basis;
  }
  return result;
}

namespace detail {

/// The removed directions in coordinates in which the kept category has the covariance 1: (direction, hidden).
inline tensor<double, 2> whitened_directions(const layer_removal& gone, const stream_basis& by) {
  const std::size_t count = gone.directions.size(), width = by.bias.size();
  tensor<double, 2> rows{{count, width}}, result{{count, width}}, coordinates{{width, width}};
  for (std::size_t i = 0; i < count; ++i) {
    std::ranges::copy(gone.basis->right.row(gone.directions[i]), rows.row(i).begin());
  }
  for (std::size_t i = 0; i < width; ++i) std::ranges::copy(by.left.row(i), coordinates.row(i).begin());
  product::abt<double>(rows, coordinates, result.view());
  return result;
}

}  // namespace detail

OPTSCOPE_INLINE double overlap(const removal& a, const removal& b, const std::vector<layer_directions>& whole) {
  double shared = 0;
  for (std::size_t layer = 0; layer < a.layers.size(); ++layer) {
    if (a.layers[layer].directions.empty() || b.layers[layer].directions.empty()) continue;
    const stream_basis& by = *whole[layer].basis;
    for (const double angle : principal_angles(detail::whitened_directions(a.layers[layer], by),
                                               detail::whitened_directions(b.layers[layer], by))) {
      shared += std::cos(angle) * std::cos(angle);
    }
  }
  const double all = static_cast<double>(a.directions() + b.directions()) - shared;
  return all == 0 ? 1 : shared / all;
}

}  // namespace optscope
