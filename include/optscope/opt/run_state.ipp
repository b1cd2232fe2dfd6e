// SPDX-License-Identifier: MIT
#pragma once
// Bodies of run_state.hpp.

#include <algorithm>
#include <optscope/opt/run_state.hpp>

namespace optscope {

OPTSCOPE_INLINE std::vector<text_chunk> chunks_of(const std::vector<std::size_t>& lengths, std::size_t most_rows) {
  std::vector<text_chunk> chunks;
  std::size_t begin = 0;
  for (std::size_t text = 0; text < lengths.size(); ++text) {
    const std::size_t length = lengths[text];
    if (length == 0) continue;
    if (chunks.empty() || chunks.back().rows + length > most_rows) {
      chunks.push_back({.first = text, .last = text, .begin = begin, .rows = 0});
    }
    chunks.back().last = text + 1;
    chunks.back().rows += length;
    begin += length;
  }
  return chunks;
}

namespace detail {

OPTSCOPE_INLINE run_state::run_state(const run_plan& of, bool together)
    : plan{of}, run_lengths{of.lengths}, chunks{chunks_of(of.lengths, together ? 2560 : 0)} {
  plan.cached.resize(plan.lengths.size());
  for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
    rows += plan.lengths[text];
    longest = std::max(longest, plan.lengths[text]);
    square = std::max(square, plan.lengths[text] * plan.total(text));
  }
  for (const text_chunk& chunk : chunks) chunk_rows = std::max(chunk_rows, chunk.rows);
}

}  // namespace detail
}  // namespace optscope
