// SPDX-License-Identifier: MIT
#pragma once
// Rearrangements of labels, for permutation tests: every one, or a random sample.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <span>

namespace optscope {

/// How many arrangements of labels were compared.
struct labelling_count {
  std::size_t count = 0;
  bool exact = false;   ///< every different one, once; otherwise a random sample
  double possible = 1;  ///< number of different labellings, at most 1e300; no p can be below 1 / possible
};

/// Calls `action(labels)` with the labels as they are, then with every other different arrangement of them, in
/// lexicographic order, if there are at most `most` together; otherwise with `most` - 1 random arrangements, drawn with
/// `seed`. The p of a statistic is the share of these arrangements in which it is at least as large as in the first
/// (Phipson and Smyth 2010).
labelling_count for_each_labelling(std::span<const std::size_t> labels, std::size_t most, std::uint64_t seed,
                                   const std::function<void(std::span<const std::size_t>)>& action);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/permutation.ipp>
#endif
