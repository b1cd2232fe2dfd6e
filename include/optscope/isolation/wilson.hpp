// SPDX-License-Identifier: MIT
#pragma once
// The uncertainty of a share that was counted.

#include <cstddef>
#include <optscope/core/compiled.hpp>

namespace optscope {

/// An interval [low, high].
struct interval {
  double low = 0, high = 1;
};

/// Wilson's 95 % interval for a share of which `hits` of `count` were counted; [0, 1] for a count of 0.
[[nodiscard]] interval wilson(std::size_t hits, std::size_t count);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/wilson.ipp>
#endif
