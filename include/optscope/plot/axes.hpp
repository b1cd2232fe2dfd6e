// SPDX-License-Identifier: MIT
#pragma once
// What pictures and reports share: the range of an axis or of colours, and rows that belong together.

#include <cstddef>
#include <string>

namespace optscope::plot {

/// What an axis or a colour bar spans.
struct value_range {
  double low = 0, high = 1;

  friend bool operator==(const value_range&, const value_range&) = default;
};

/// Consecutive rows, lines or texts that share a name, such as the texts of a category.
struct row_group {
  std::string name;
  std::size_t size = 0;  ///< rows
};

}  // namespace optscope::plot
