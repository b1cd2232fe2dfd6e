// SPDX-License-Identifier: MIT
#pragma once
// Bodies of permutation.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/permutation.hpp>
#include <random>
#include <utility>
#include <vector>

namespace optscope {
namespace detail {
/// Number of different arrangements, n! / (n1! n2! …), at most about 1e300. `sorted` has the labels in order.
inline double number_of_labellings(std::span<const std::size_t> sorted) {
  double logarithm = std::lgamma(static_cast<double>(sorted.size()) + 1);
  for (auto begin = sorted.begin(); begin != sorted.end();) {
    const auto end = std::upper_bound(begin, sorted.end(), *begin);
    logarithm -= std::lgamma(static_cast<double>(end - begin) + 1);
    begin = end;
  }
  return std::round(std::exp(std::min(logarithm, 690.0)));
}
}  // namespace detail

OPTSCOPE_INLINE labelling_count for_each_labelling(std::span<const std::size_t> labels, std::size_t most,
                                                   std::uint64_t seed,
                                                   const std::function<void(std::span<const std::size_t>)>& action) {
  action(labels);
  labelling_count result{.count = 1, .exact = false, .possible = 1};
  std::vector<std::size_t> next(labels.begin(), labels.end());
  std::ranges::sort(next);
  result.possible = detail::number_of_labellings(next);
  result.exact = result.possible <= static_cast<double>(most);
  if (result.exact) {
    do {
      if (std::ranges::equal(next, labels)) continue;
      action(next);
      ++result.count;
    } while (std::ranges::next_permutation(next).found);
    return result;
  }
  next.assign(labels.begin(), labels.end());
  std::mt19937_64 random{seed};
  for (; result.count < most; ++result.count) {
    for (std::size_t i = next.size(); i > 1; --i) std::swap(next[i - 1], next[random() % i]);
    action(next);
  }
  return result;
}

}  // namespace optscope
