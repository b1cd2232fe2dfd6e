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

template <class T>
run_state<T>::run_state(const run_plan& of, bool together)
    : plan{of}, run_lengths{of.lengths}, chunks{chunks_of(of.lengths, together ? 2560 : 0)} {
  plan.cached.resize(plan.lengths.size());
  std::size_t rows = 0;
  for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
    rows += plan.lengths[text];
    longest = std::max(longest, plan.lengths[text]);
    square = std::max(square, plan.lengths[text] * plan.total(text));
  }
  for (const text_chunk& chunk : chunks) chunk_rows = std::max(chunk_rows, chunk.rows);
  stream = tensor<T, 2>{{rows, plan.shape.hidden}};
  scale = tensor<T, 2>{{chunk_rows, 1}};
}

template <class T>
void run_state<T>::trim(text_chunk& chunk, const std::vector<std::size_t>& first_wanted) {
  const tensor_view<T, 2> rows = stream.view().slice(chunk.begin, chunk.rows);
  std::size_t from = 0, to = 0;
  for (std::size_t text = chunk.first; text < chunk.last; ++text) {
    if (plan.lengths[text] == 0) continue;
    const std::size_t dropped = first_wanted[text] - plan.first_position(text), kept = plan.lengths[text] - dropped;
    if (dropped != 0 || from != to) {
      std::copy_n(rows.row(from).data() + dropped * rows.cols(), kept * rows.cols(), rows.row(to).data());
    }
    from += plan.lengths[text];
    to += kept;
    plan.cached[text] += dropped;
    plan.lengths[text] = kept;
  }
  chunk.rows = to;
}

template <class T>
void copy_last_rows(const run_state<T>& state, const text_chunk& chunk, tensor_view<const T, 2> rows,
                    tensor<T, 2>& last, std::vector<std::size_t>& texts) {
  state.for_texts(chunk, [&](const text_rows& text) {
    if (text.rows == 0) return;
    std::ranges::copy(rows.row(text.row + text.rows - 1), last.row(texts.size()).data());
    texts.push_back(text.text);
  });
}

#ifdef OPTSCOPE_COMPILED
template struct run_state<float>;
template struct run_state<double>;
template void copy_last_rows(const run_state<float>&, const text_chunk&, tensor_view<const float, 2>, tensor<float, 2>&,
                             std::vector<std::size_t>&);
template void copy_last_rows(const run_state<double>&, const text_chunk&, tensor_view<const double, 2>,
                             tensor<double, 2>&, std::vector<std::size_t>&);
#endif

}  // namespace detail
}  // namespace optscope
