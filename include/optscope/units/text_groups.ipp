// SPDX-License-Identifier: MIT
#pragma once
// Bodies of text_groups.hpp.

#include <algorithm>
#include <numeric>
#include <optscope/units/text_groups.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE text_groups::text_groups(std::vector<std::size_t> texts, std::size_t most) : texts_{std::move(texts)} {
  // Fewest groups of a category that has as many texts; with fewer, labels can be exchanged in too few ways.
  constexpr std::size_t least = 8;
  const std::size_t all = std::accumulate(texts_.begin(), texts_.end(), std::size_t{0});
  std::size_t smallest = all, largest = 0;
  for (const std::size_t count : texts_) {
    if (count > 0) smallest = std::min(smallest, count);
    largest = std::max(largest, count);
  }
  per_group_ = std::max<std::size_t>(1, std::min((all + most - 1) / most, smallest / least));
  std::size_t cap = largest / per_group_;  // groups of a category
  const auto groups = [&](std::size_t category) { return std::min(texts_[category] / per_group_, cap); };
  while (cap > least) {
    std::size_t sum = 0;
    for (std::size_t c = 0; c < texts_.size(); ++c) sum += groups(c);
    if (sum <= most) break;
    cap = std::max(least, cap - std::max<std::size_t>(1, (sum - most) / texts_.size()));
  }
  for (std::size_t c = 0; c < texts_.size(); ++c) {
    first_.push_back(category_.size());
    category_.insert(category_.end(), groups(c), c);
  }
  first_.push_back(category_.size());
}

OPTSCOPE_INLINE std::size_t text_groups::of(std::size_t category, std::size_t text) const {
  const std::size_t groups = first_[category + 1] - first_[category], texts = texts_[category];
  const std::size_t block = text * groups / texts, begin = (block * texts + groups - 1) / groups;
  return text - begin < per_group_ ? first_[category] + block : none;
}

}  // namespace optscope
