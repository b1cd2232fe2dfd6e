// SPDX-License-Identifier: MIT
#pragma once
// Pairs of tokens whose logits are compared, and random ones as a level of chance.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <span>
#include <vector>

namespace optscope {

/// What is explained: logit(answer) - logit(instead), or the answer's logit alone.
struct logit_pair {
  token_id answer = 0;
  std::optional<token_id> instead{};
};

/// `count` pairs of tokens drawn below `tokens`, the same for the same seed, with an `instead` or without: what a
/// finding is compared with.
[[nodiscard]] std::vector<logit_pair> random_logit_pairs(std::size_t count, std::size_t tokens, bool with_instead,
                                                         std::uint64_t seed);

/// How values compare with those of random pairs at the same places.
struct random_pair_level {
  std::vector<double> usual;  ///< [place]: root mean square over the random pairs
  std::vector<double> p;      ///< [place]: corrected over all places
};

/// Values [place] of one pair, such as shares of a logit, beside those of random pairs (pair, place). Each is divided
/// by the usual size at its place; p is how often the largest of all places is as large for a random pair
/// (max-statistic: Westfall and Young 1993), so that with no difference one call in 20 has a place with p below 0.05. 1
/// where all values are 0.
[[nodiscard]] random_pair_level level_of_random_pairs(std::span<const double> values,
                                                      tensor_view<const double, 2> random);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/residual/logit_pairs.ipp>
#endif
