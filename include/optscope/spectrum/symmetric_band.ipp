// SPDX-License-Identifier: MIT
#pragma once
// Bodies of symmetric_band.hpp.

#include <algorithm>
#include <optscope/spectrum/symmetric_band.hpp>
#include <vector>

namespace optscope::detail {

/// A tile of the lower triangle: rows [i, i + rows), columns [j, j + cols), i >= j.
struct lower_tile {
  std::size_t i, j, rows, cols;
};

inline std::vector<lower_tile> lower_tiles(std::size_t n) {
  constexpr std::size_t narrow = 128;
  std::vector<lower_tile> tiles;
  for (std::size_t j = 0; j < n; j += tile) {
    const std::size_t after = std::min(j + tile, n);
    for (std::size_t i = after; i < n; i += tile) tiles.push_back({i, j, std::min(tile, n - i), after - j});
    for (std::size_t i = j; i < after; i += narrow) tiles.push_back({i, i, after - i, std::min(narrow, after - i)});
  }
  return tiles;
}

OPTSCOPE_INLINE void add_product(const column_major& g, const column_major& x, thread_pool& pool) {
  const std::vector<lower_tile> tiles = lower_tiles(x.rows);
  pool.parallel_for(tiles.size(), [&](std::size_t task, std::size_t) {
    const lower_tile& at = tiles[task];
    gemm(blas::transpose::no, blas::transpose::yes, at.rows, at.cols, x.cols, 1, x.at(at.i, 0), x.stride, x.at(at.j, 0),
         x.stride, 1, g.at(at.i, at.j), g.stride);
  });
}

OPTSCOPE_INLINE band_matrix reduce_symmetric_to_band(const column_major& a, thread_pool& pool, std::size_t& k,
                                                     const keep_going& go) {
  constexpr std::size_t b = band_width;
  const std::size_t n = a.rows;
  std::vector<double> t_numbers(b * b), m(b * b), half(b * b), panel_work(b * b), both(4 * b * n);
  bool factored = false;
  for (; k + b < n; k += b) {
    const std::size_t rows = n - k - b, w = std::min(b, rows), first = k + b;
    const auto wide = static_cast<int>(w);
    const column_major t{t_numbers.data(), w, w, b}, panel{a.at(first, k), rows, b, a.stride};
    if (!factored) factor_panel(panel, t, panel_work.data());
    // [v x] and [x v] side by side, so that v xᵀ + x vᵀ is one product.
    const column_major v{both.data(), rows, w, rows}, x{v.at(0, w), rows, w, rows};
    const column_major swapped_x{both.data() + 2 * b * n, rows, w, rows}, swapped_v{swapped_x.at(0, w), rows, w, rows};
    write_out_reflectors(panel, v);
    // swapped_x = A v, then x = W = A v T: row stripe i meets A(i, :) stored to its left, on the diagonal and below it.
    pool.parallel_for(stripes(rows), [&](std::size_t task, std::size_t) {
      const std::size_t i = task * stripe, count = std::min(stripe, rows - i), after = i + count;
      double* y = swapped_x.at(i, 0);
      blas::symm(blas::layout::column_major, blas::side::left, blas::triangle::lower, static_cast<int>(count), wide, 1,
                 a.at(first + i, first + i), static_cast<int>(a.stride), v.at(i, 0), static_cast<int>(rows), 0, y,
                 static_cast<int>(rows));
      if (i > 0) {
        gemm(blas::transpose::no, blas::transpose::no, count, w, i, 1, a.at(first + i, first), a.stride, v.data, rows,
             1, y, rows);
      }
      if (after < rows) {
        gemm(blas::transpose::yes, blas::transpose::no, count, w, rows - after, 1, a.at(first + after, first + i),
             a.stride, v.at(after, 0), rows, 1, y, rows);
      }
      gemm(blas::transpose::no, blas::transpose::no, count, w, w, 1, y, rows, t.data, t.stride, 0, x.at(i, 0), rows);
    });
    gemm(blas::transpose::yes, blas::transpose::no, w, w, rows, 1, v.data, rows, x.data, rows, 0, m.data(), w);
    gemm(blas::transpose::yes, blas::transpose::no, w, w, w, -0.5, t.data, t.stride, m.data(), w, 0, half.data(), w);
    pool.parallel_for(stripes(rows), [&](std::size_t task, std::size_t) {
      const std::size_t i = task * stripe, count = std::min(stripe, rows - i);
      gemm(blas::transpose::no, blas::transpose::no, count, w, w, 1, v.at(i, 0), rows, half.data(), w, 1, x.at(i, 0),
           rows);
      for (std::size_t j = 0; j < w; ++j) {
        std::copy_n(x.at(i, j), count, swapped_x.at(i, j));
        std::copy_n(v.at(i, j), count, swapped_v.at(i, j));
      }
    });
    const double part_left = static_cast<double>(rows) / static_cast<double>(n);
    factored = go(1 - part_left * part_left * part_left);
    const auto update = [&](std::size_t i, std::size_t j, std::size_t high, std::size_t across) {
      gemm(blas::transpose::no, blas::transpose::yes, high, across, 2 * w, -1, v.at(i, 0), rows, swapped_x.at(j, 0),
           rows, 1, a.at(first + i, first + j), a.stride);
    };
    const std::vector<lower_tile> tiles = lower_tiles(rows - w);
    pool.parallel_for(1 + tiles.size(), [&](std::size_t task, std::size_t) {
      if (task == 0) {  // the next panel is factored while the rest is updated
        update(0, 0, rows, w);
        if (factored && rows > b) factor_panel({a.at(first + b, first), rows - b, b, a.stride}, t, panel_work.data());
      } else {
        const lower_tile& at = tiles[task - 1];
        update(w + at.i, w + at.j, at.rows, at.cols);
      }
    });
    if (!factored) {
      k += b;
      return {};
    }
  }
  return extract_band(a, std::min(b, n - 1), true);
}

}  // namespace optscope::detail
