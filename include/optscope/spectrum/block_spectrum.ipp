// SPDX-License-Identifier: MIT
#pragma once
// Bodies of block_spectrum.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/spectrum/block_spectrum.hpp>

namespace optscope {

OPTSCOPE_INLINE std::string title_of(block_kind block) {
  return block == block_kind::attention ? "attention" : "dense (MLP)";
}

OPTSCOPE_INLINE operator_shape jacobian_shape(block_kind block, std::size_t tokens, std::size_t hidden,
                                              std::size_t scalar_bytes) {
  const bool writes_blocks = scalar_bytes == sizeof(double);
  return {.rows = tokens * hidden,
          .cols = tokens * hidden,
          .scalar_bytes = scalar_bytes,
          .tokens = tokens,
          .width = hidden,
          .blocks = writes_blocks,
          .causal = writes_blocks,
          .diagonal = writes_blocks && block == block_kind::mlp};
}

OPTSCOPE_INLINE std::size_t block_spectrum::bound(std::size_t hidden) const {
  if (active.empty()) return of.tokens * (hidden - 1);
  std::size_t sum = 0;
  for (const std::size_t count : active) sum += std::min(count, hidden - 1);
  return sum;
}

OPTSCOPE_INLINE rank_notions block_spectrum::ranks(std::size_t hidden) const {
  const std::size_t most = bound(hidden);
  return found.density ? sampled_ranks_of(found, most) : ranks_of(found, found.size - most, most);
}

OPTSCOPE_INLINE tensor<double, 2> density_table(const spectral_density& density, std::size_t rows, bool to_the_limit) {
  tensor<double, 2> table{{rows, 3}};
  const double top = density.largest(), least = density.resolution_limit();
  const auto steps = static_cast<double>(to_the_limit ? rows - 1 : rows);
  for (std::size_t i = 0; i < rows; ++i) {
    const spectral_count count = density.above(top * std::pow(least / top, static_cast<double>(i) / steps));
    table(i, 0) = count.threshold;
    table(i, 1) = count.count;
    table(i, 2) = count.error();
  }
  return table;
}

}  // namespace optscope
