// SPDX-License-Identifier: MIT
#pragma once
// How well the first-order estimate of a patching sweep agrees with the sweep.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>

namespace optscope {

/// What is drawn together when an agreement is resampled: places of one position in several layers are alike.
enum class agreement_unit { column, cell };

/// A correlation of two maps of shares.
struct patch_agreement {
  std::size_t places = 0;                           ///< cells that are compared
  std::size_t units = 0;                            ///< columns, or cells, that count as independent
  std::optional<double> correlation{};              ///< Pearson's; none if one of the maps is constant
  std::optional<std::array<double, 2>> interval{};  ///< 95 %, units resampled; none with fewer than 6 units
  double chance = 0;                                ///< 95 of 100 maps with units in random order reach less
  double p = 1;                                     ///< share of these that correlate as much, the sign included
  double error = 0;                                 ///< the largest deviation of a cell
};

/// Compares `exact` and `estimate` (layer, place) from column `first` on. Chance comes from estimates whose units are
/// rearranged, all of them or 999 at random. Memory is that of the maps.
[[nodiscard]] patch_agreement agreement_of(const tensor<double, 2>& exact, const tensor<double, 2>& estimate,
                                           std::size_t first, agreement_unit unit, std::uint64_t seed = 1);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/residual/patch_agreement.ipp>
#endif
