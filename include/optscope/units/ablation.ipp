// SPDX-License-Identifier: MIT
#pragma once
// Bodies of ablation.hpp.

#include <optscope/units/ablation.hpp>

namespace optscope {

OPTSCOPE_INLINE std::vector<double> ablation_effects::mean(std::size_t category,
                                                           std::vector<double> loss_gain::*of) const {
  std::vector<double> result((pieces.front().gain.*of).size());
  double tokens = 0;
  for (const piece& each : pieces) {
    if (each.category != category) continue;
    tokens += each.tokens;
    const std::vector<double>& gain = each.gain.*of;
    std::transform(gain.begin(), gain.end(), result.begin(), result.begin(), std::plus<>{});
  }
  for (double& each : result) each /= tokens;
  return result;
}

OPTSCOPE_INLINE ablation_effects ablation_effects::half(std::size_t which) const {
  std::vector<std::size_t> seen, size;  // [category]
  for (const piece& each : pieces) {
    size.resize(std::max(size.size(), each.category + 1));
    size[each.category] += 1;
  }
  seen.resize(size.size());
  ablation_effects result;
  for (const piece& each : pieces) {
    const std::size_t number = seen[each.category]++;
    if (size[each.category] == 1 || number % 2 == which) result.pieces.push_back(each);
  }
  return result;
}

}  // namespace optscope
