// SPDX-License-Identifier: MIT
#pragma once
// The tight pass: the layer at which the blocks of a model are narrowest.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/spectrum/rank.hpp>
#include <span>

namespace optscope {

/// Where along the depth the effective rank, divided by the bound, is smallest.
struct tight_pass {
  std::size_t layer = 0;  ///< place in the list
  double share = 0;       ///< effective rank / bound there
  double margin = 0;      ///< how much larger the share is at the next narrowest layer, relative
  bool inside = false;    ///< neither the first nor the last: only then do the layers narrow and widen again
};

/// The strict minimum of effective rank / bound, or nothing if two layers share it or there are fewer than 2.
[[nodiscard]] std::optional<tight_pass> find_narrowest(std::span<const double> shares);
[[nodiscard]] std::optional<tight_pass> find_tight_pass(std::span<const rank_notions> layers);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/tight_pass.ipp>
#endif
