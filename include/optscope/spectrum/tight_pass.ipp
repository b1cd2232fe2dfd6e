// SPDX-License-Identifier: MIT
#pragma once
// Bodies of tight_pass.hpp.

#include <algorithm>
#include <limits>
#include <optscope/spectrum/tight_pass.hpp>
#include <vector>

namespace optscope {

OPTSCOPE_INLINE std::optional<tight_pass> find_narrowest(std::span<const double> shares) {
  if (shares.size() < 2) return std::nullopt;
  const auto at = static_cast<std::size_t>(std::min_element(shares.begin(), shares.end()) - shares.begin());
  double next = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (i != at) next = std::min(next, shares[i]);
  }
  if (next == shares[at]) return std::nullopt;
  return tight_pass{
      .layer = at, .share = shares[at], .margin = next / shares[at] - 1, .inside = at > 0 && at + 1 < shares.size()};
}

OPTSCOPE_INLINE std::optional<tight_pass> find_tight_pass(std::span<const rank_notions> layers) {
  std::vector<double> shares;
  for (const rank_notions& ranks : layers) {
    shares.push_back(ranks.bound == 0 ? 0 : ranks.effective_rank / static_cast<double>(ranks.bound));
  }
  return find_narrowest(shares);
}

}  // namespace optscope
