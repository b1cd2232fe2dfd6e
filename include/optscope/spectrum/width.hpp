// SPDX-License-Identifier: MIT
#pragma once
// How wide a block is over the layers, in several notions, and whether one of the layers is a tight pass.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/spectrum/block_spectrum.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// The width of one kind of block over the layers, at one text or several.
struct layer_widths {
  std::vector<double> layers;
  /// (notion, [layer]): effective rank, 99 % of the energy, participation ratio, stable rank, each relative to the
  /// structural bound; the geometric mean over the texts.
  std::vector<std::pair<std::string, std::vector<double>>> notions;
  std::vector<std::vector<double>> of_texts;  ///< [text][layer]: effective rank / bound
  std::optional<double> narrowest;            ///< the layer of the strictly smallest effective rank
  std::optional<double> next;                 ///< the layer that comes closest to it
  double margin = 0;                          ///< how much wider that one is, relative
  std::optional<double> low, high;            ///< the margin's 95 % interval over texts
  std::size_t narrowest_at = 0;               ///< the number of texts at which it is the narrowest
  bool inside = false;                        ///< neither the first nor the last
  std::optional<bool> stands_out;  ///< the margin is more than noise; only then, and inside, it is a tight pass
  std::string verdict;             ///< all of this in words
};

/// `texts` [text][layer]: the spectra of the same layers, in order, at each text. Texts are compared pair by pair of
/// layers: the narrowest layer, by the mean over the texts, stands out if for every other layer Student's 95 % interval
/// of the logarithm of the quotient of the two widths at the same text is above 0, widened by the error of sampling.
/// That takes at least 3 texts, of which the order does not matter; one with the very same widths as another, because
/// both begin alike, does not count. Of layers that are equally wide, one stands out in
/// at most 5 % of the cases. Spectra are given as pointers, so that they need not lie together. Throws what `ranks_of`
/// throws.
[[nodiscard]] layer_widths widths_over_layers(std::span<const std::vector<const block_spectrum*>> texts,
                                              std::size_t hidden);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/width.ipp>
#endif
