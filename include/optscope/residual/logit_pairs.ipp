// SPDX-License-Identifier: MIT
#pragma once
// Bodies of logit_pairs.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/residual/logit_pairs.hpp>
#include <random>

namespace optscope {

OPTSCOPE_INLINE std::vector<logit_pair> random_logit_pairs(std::size_t count, std::size_t tokens, bool with_instead,
                                                           std::uint64_t seed) {
  std::mt19937_64 bits{seed};
  std::vector<logit_pair> pairs(count);
  for (logit_pair& pair : pairs) {
    pair.answer = static_cast<token_id>(bits() % tokens);
    if (with_instead) pair.instead = static_cast<token_id>(bits() % tokens);
  }
  return pairs;
}

OPTSCOPE_INLINE random_pair_level level_of_random_pairs(std::span<const double> values,
                                                        tensor_view<const double, 2> random) {
  const std::size_t pairs = random.rows();
  random_pair_level result{.usual = std::vector<double>(values.size()), .p = std::vector<double>(values.size(), 1)};
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    const auto row = random.row(pair);
    for (std::size_t i = 0; i < values.size(); ++i) result.usual[i] += row[i] * row[i];
  }
  for (double& usual : result.usual) usual = pairs == 0 ? 0 : std::sqrt(usual / static_cast<double>(pairs));
  std::vector<double> most(pairs);  // of all places, in units of the usual size of each
  for (std::size_t pair = 0; pair < pairs; ++pair) {
    const auto row = random.row(pair);
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (result.usual[i] > 0) most[pair] = std::max(most[pair], std::abs(row[i]) / result.usual[i]);
    }
  }
  std::ranges::sort(most);
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (!(result.usual[i] > 0)) continue;
    const auto first = std::ranges::lower_bound(most, std::abs(values[i]) / result.usual[i]);
    result.p[i] = static_cast<double>(1 + (most.end() - first)) / static_cast<double>(pairs + 1);
  }
  return result;
}

}  // namespace optscope
