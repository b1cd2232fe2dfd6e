// SPDX-License-Identifier: MIT
#pragma once
// Principal angles and overlaps between the leading subspaces of several blocks.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/block_spectrum.hpp>
#include <span>

namespace optscope {

/// What a block reads from the stream, or what it writes to it.
enum class block_side { reads, writes };

/// Between every pair of spectra.
struct subspace_overlaps {
  tensor<float, 2> mean;     ///< (spectrum, spectrum): mean squared cosine
  tensor<double, 3> angles;  ///< (spectrum, spectrum, angle): radians, ascending, NaN beyond the smaller subspace
};

/// Of the leading directions that were found; empty tensors if there are none. Spectra are given as pointers, so that
/// they need not lie together.
[[nodiscard]] subspace_overlaps overlaps_of(std::span<const block_spectrum* const> spectra, block_side side);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/overlaps.ipp>
#endif
