// SPDX-License-Identifier: MIT
#pragma once
// How well single dimensions tell the categories of texts apart.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <vector>

namespace optscope {

/// Mean vector of each text: (text, width), from vectors (vector, width) whose texts are `text_of` [vector].
template <class T>
[[nodiscard]] tensor<double, 2> text_averages(tensor_view<const T, 2> vectors, const std::vector<std::size_t>& text_of,
                                              std::size_t texts);

/// F statistic of one-way analysis of variance for every column of `means` (text, width), whose texts have the
/// categories `category` [text]: variance between the categories' means over variance within categories. 0 where
/// nothing varies between categories, infinity where nothing varies within them. With fewer than two categories, or no
/// more texts than categories, all NaN.
[[nodiscard]] std::vector<double> f_statistics(tensor_view<const double, 2> means,
                                               const std::vector<std::size_t>& category);

/// Indices of the `count` largest values, largest first; equal values by index, NaN last.
[[nodiscard]] std::vector<std::size_t> indices_of_largest(const std::vector<double>& values, std::size_t count);

/// A dimension of the vectors of a layer, and how well it tells the categories apart.
struct selective_dimension {
  std::size_t dimension = 0;
  std::size_t layer = 0;   ///< index into the layers that were compared
  double f = 0;            ///< F statistic over the means of the texts that dimensions are chosen on
  double f_of_others = 0;  ///< F over the other half of the texts; NaN where all are chosen on
  double p = 1;            ///< share of exchanges of labels under which the largest F of all is at least this one
};

/// The dimensions with the largest F statistics; those of NaN are left out.
struct selective_dimensions {
  std::vector<selective_dimension> by_layer;  ///< at most ten of each layer, best first within it
  std::vector<selective_dimension> best;      ///< at most 64 over all layers, each at its best layer, best first
  double level = 0;           ///< what the largest F of all exceeds in 5 % of the exchanges of labels; NaN without any
  std::size_t labelings = 0;  ///< exchanges compared, the real labels included
  bool halves = false;        ///< chosen on every second text of each category, the other half being `f_of_others`
};

/// `layers` has (vector, width) for each layer, vectors whose texts are `text_of` [vector], of categories `category`
/// [text]. If every category has four texts, dimensions are chosen on one half of the texts and measured on the other.
/// Of thousands of dimensions some have a large F by chance: one with p above 0.05, that is with an F below `level`,
/// is none that was found.
[[nodiscard]] selective_dimensions find_selective_dimensions(const std::vector<tensor_view<const float, 2>>& layers,
                                                             const std::vector<std::size_t>& text_of,
                                                             const std::vector<std::size_t>& category,
                                                             std::size_t most = 500, std::uint64_t seed = 1);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/selectivity.ipp>
#endif
