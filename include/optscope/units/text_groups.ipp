// SPDX-License-Identifier: MIT
#pragma once
// Bodies of text_groups.hpp.

#include <algorithm>
#include <numeric>
#include <optscope/units/text_groups.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE text_groups::text_groups(std::vector<std::size_t> texts, std::size_t most) : texts_{std::move(texts)} {
  const std::size_t all = std::accumulate(texts_.begin(), texts_.end(), std::size_t{0});
  per_group_ = std::max<std::size_t>(1, (all + most - 1) / most);
  for (std::size_t c = 0; c < texts_.size(); ++c) {
    first_.push_back(category_.size());
    category_.insert(category_.end(), groups_of(c), c);
  }
  members_.resize(category_.size());
  for (std::size_t c = 0; c < texts_.size(); ++c) {
    for (std::size_t t = 0; t < texts_[c]; ++t) members_[of(c, t)] += 1;
  }
}

OPTSCOPE_INLINE std::size_t text_groups::groups_of(std::size_t category) const {
  return texts_[category] == 0 ? 0 : std::max<std::size_t>(1, texts_[category] / per_group_);
}

OPTSCOPE_INLINE std::size_t text_groups::of(std::size_t category, std::size_t text) const {
  const std::size_t last = std::max<std::size_t>(1, groups_of(category)) - 1;
  return first_[category] + std::min(text / per_group_, last);
}

}  // namespace optscope
