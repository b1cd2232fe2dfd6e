// SPDX-License-Identifier: MIT
#pragma once
// Bodies of probe_set.hpp.

#include <algorithm>
#include <cassert>
#include <optscope/opt/probe_set.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE std::vector<row_range> ranges_of(std::vector<std::size_t> rows, std::size_t count, std::size_t blocks) {
  std::ranges::sort(rows);
  std::vector<row_range> ranges;
  for (std::size_t block = 0; block < blocks; ++block) {
    for (const std::size_t row : rows) {
      assert(row < count);
      const std::size_t at = block * count + row;
      if (ranges.empty() || at > ranges.back().first + ranges.back().count) {
        ranges.push_back({.first = at, .count = 1});
      } else {
        ranges.back().count = at - ranges.back().first + 1;
      }
    }
  }
  return ranges;
}

}  // namespace optscope::detail
