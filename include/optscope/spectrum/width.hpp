// SPDX-License-Identifier: MIT
#pragma once
// How wide a block is over the layers, in several notions, and whether one of the layers is a tight pass.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/spectrum/block_spectrum.hpp>
#include <optscope/spectrum/tight_pass.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// The width of one kind of block over the layers.
struct layer_widths {
  std::vector<double> layers;
  /// (notion, [layer]): effective rank, 99 % of the energy, participation ratio, stable rank, each relative to the
  /// structural bound.
  std::vector<std::pair<std::string, std::vector<double>>> notions;
  std::optional<double> narrowest;  ///< the layer of the strictly smallest effective rank
  double margin = 0;                ///< how much wider the next narrowest is, relative
  bool inside = false;              ///< neither the first nor the last
  std::optional<double> spread;     ///< standard deviation over texts, relative
  std::optional<bool> stands_out;   ///< the margin is more than noise; only then, and inside, it is a tight pass
  std::string verdict;              ///< all of this in words
};

/// `along`: the spectra of the layers, in order; `texts`: those of several texts at one layer, of which at least 3 tell
/// how much texts differ. The narrowest layer stands out if the next one is wider by more than twice what texts differ
/// by (one standard deviation) and twice the error of sampling. Spectra are given as pointers, so that they need not
/// lie together. Throws what `ranks_of` throws.
[[nodiscard]] layer_widths widths_over_layers(std::span<const block_spectrum* const> along,
                                              std::span<const block_spectrum* const> texts, std::size_t hidden);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/width.ipp>
#endif
