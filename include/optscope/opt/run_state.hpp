// SPDX-License-Identifier: MIT
#pragma once
// The texts of a run: which are computed together, which rows they have.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <vector>

namespace optscope {

/// Texts that are computed together: [first, last) of the batch, rows [begin, begin + rows) of the stream.
struct text_chunk {
  std::size_t first, last, begin, rows;
};

/// Cuts a batch into chunks of whole texts: as many as fit into `most_rows`, at least one. Empty texts begin none.
[[nodiscard]] std::vector<text_chunk> chunks_of(const std::vector<std::size_t>& lengths, std::size_t most_rows);

/// A text of a chunk, in a layer.
struct text_rows {
  std::size_t text;              ///< index into the batch
  std::size_t row, rows;         ///< its rows of the chunk: [row, row + rows)
  std::size_t position;          ///< of its first row
  std::size_t run_row, run_all;  ///< the same rows before `skip_unwanted`: [run_row, run_row + run_all)
};

namespace detail {

/// What a run knows of its texts whatever the probes are.
struct run_state {
  /// `together`: a row of a product has the same bits whatever other rows are in it, so that texts may share products.
  run_state(const run_plan& plan, bool together);

  /// Calls `body(text_rows)` for each text of a chunk that has tokens to run.
  template <class Body>
  void for_texts(const text_chunk& chunk, Body&& body) const {
    std::size_t row = 0, run_row = 0;
    for (std::size_t text = chunk.first; text < chunk.last; ++text) {
      if (run_lengths[text] == 0) continue;
      body(text_rows{.text = text,
                     .row = row,
                     .rows = plan.lengths[text],
                     .position = plan.first_position(text),
                     .run_row = run_row,
                     .run_all = run_lengths[text]});
      row += plan.lengths[text];
      run_row += run_lengths[text];
    }
  }

  /// Leaves out of a chunk the rows of positions before the first that is wanted, `first_wanted` [text]. Calls
  /// `move(from, to, count)` for rows that come to lie elsewhere in the chunk.
  template <class Move>
  void trim(text_chunk& chunk, const std::vector<std::size_t>& first_wanted, Move&& move) {
    std::size_t from = 0, to = 0;
    for (std::size_t text = chunk.first; text < chunk.last; ++text) {
      if (plan.lengths[text] == 0) continue;
      const std::size_t dropped = first_wanted[text] - plan.first_position(text), kept = plan.lengths[text] - dropped;
      if (dropped != 0 || from != to) move(from + dropped, to, kept);
      from += plan.lengths[text];
      to += kept;
      plan.cached[text] += dropped;
      plan.lengths[text] = kept;
    }
    chunk.rows = to;
  }

  run_plan plan;                         // once the last layer has begun, what it computes of each text
  std::vector<std::size_t> run_lengths;  // [text]: of the plan as it was
  std::vector<text_chunk> chunks;
  std::size_t rows = 0;        // positions of all texts
  std::size_t chunk_rows = 0;  // of the largest chunk
  std::size_t longest = 0;     // tokens of the longest text
  std::size_t square = 0;      // tokens times keys, of the text in which that is most
};

}  // namespace detail
}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/run_state.ipp>
#endif
