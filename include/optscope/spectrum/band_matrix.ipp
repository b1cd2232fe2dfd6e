// SPDX-License-Identifier: MIT
#pragma once
// Bodies of band_matrix.hpp.

#include <algorithm>
#include <optscope/spectrum/band_matrix.hpp>
#include <optscope/spectrum/lapack.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE void gemm(blas::transpose ta, blas::transpose tb, std::size_t m, std::size_t n, std::size_t k,
                          double alpha, const double* a, std::size_t lda, const double* b, std::size_t ldb, double beta,
                          double* c, std::size_t ldc) {
  if (m == 0 || n == 0) return;
  blas::gemm(blas::layout::column_major, ta, tb, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), alpha,
             a, static_cast<int>(lda), b, static_cast<int>(ldb), beta, c, static_cast<int>(ldc));
}

OPTSCOPE_INLINE band_matrix extract_band(const column_major& a, std::size_t width, bool lower) {
  band_matrix band;
  band.size = a.cols;
  band.width = width;
  band.symmetric = lower;
  band.diagonals.assign(a.cols * (width + 1), 0.0);
  for (std::size_t j = 0; j < a.cols; ++j) {
    double* column = band.diagonals.data() + j * (width + 1);
    if (lower) {
      std::copy(a.at(j, j), a.at(std::min(a.cols, j + width + 1), j), column);
    } else {
      const std::size_t first = j - std::min(j, width);
      std::copy(a.at(first, j), a.at(j + 1, j), column + width - (j - first));
    }
  }
  return band;
}

OPTSCOPE_INLINE void factor_panel(const column_major& a, const column_major& t, double* work) {
  static_cast<void>(lapack::geqrt(static_cast<int>(a.rows), static_cast<int>(a.cols), a.data,
                                  static_cast<int>(a.stride), t.data, static_cast<int>(t.stride), work));
}

OPTSCOPE_INLINE void write_out_reflectors(const column_major& a, const column_major& v) {
  for (std::size_t j = 0; j < v.cols; ++j) {
    std::fill(v.at(0, j), v.at(j, j), 0.0);
    *v.at(j, j) = 1;
    if (v.data != a.data) std::copy(a.at(j + 1, j), a.at(a.rows, j), v.at(j + 1, j));
  }
}

OPTSCOPE_INLINE band_matrix reduce_to_band(const column_major& a, thread_pool& pool, std::size_t& k,
                                           const keep_going& go) {
  constexpr std::size_t b = band_width;
  std::vector<double> t_numbers(b * b), s_numbers(b * b), z(b * b), panel_work(b * b), work(pool.size() * stripe * b);
  std::vector<double> left(2 * b * a.rows), right(2 * b * a.cols);
  bool factored = false;
  for (; k < a.cols; k += b) {
    const std::size_t w = std::min(b, a.cols - k), rest = a.cols - k - w, below = a.rows - k - w, r = std::min(b, rest);
    const column_major t{t_numbers.data(), w, w, b}, s{s_numbers.data(), r, r, b};
    const column_major panel{a.at(k, k), a.rows - k, w, a.stride};
    if (!factored) factor_panel(panel, t, panel_work.data());
    if (rest == 0) break;
    const column_major v{left.data(), panel.rows, w, panel.rows}, x{v.at(w, w), below, r, panel.rows};
    const column_major y{right.data(), rest, w, rest}, u{y.at(0, w), rest, w, rest};
    write_out_reflectors(panel, v);
    pool.parallel_for(stripes(rest), [&](std::size_t task, std::size_t worker) {
      const std::size_t i = task * stripe, count = std::min(stripe, rest - i);
      double* part = work.data() + worker * stripe * b;
      gemm(blas::transpose::yes, blas::transpose::no, count, w, v.rows, 1, a.at(k, k + w + i), a.stride, v.data,
           v.stride, 0, part, stripe);
      gemm(blas::transpose::no, blas::transpose::no, count, w, w, 1, part, stripe, t.data, t.stride, 0, y.at(i, 0),
           rest);
      for (std::size_t j = 0; j < w; ++j) {  // the panel of rows, not yet updated
        for (std::size_t c = i; c < i + count; ++c) *u.at(c, j) = *a.at(k + j, k + w + c);
      }
      gemm(blas::transpose::no, blas::transpose::yes, count, w, w, -1, y.at(i, 0), rest, v.data, v.stride, 1,
           u.at(i, 0), rest);
    });
    factor_panel(u, s, panel_work.data());
    for (std::size_t j = 0; j < r; ++j) {
      for (std::size_t i = 0; i < w; ++i) *a.at(k + i, k + w + j) = i < j ? 0 : *u.at(j, i);
    }
    write_out_reflectors(u, {u.data, rest, r, rest});
    gemm(blas::transpose::yes, blas::transpose::no, w, r, rest, 1, y.data, rest, u.data, rest, 0, z.data(), w);
    pool.parallel_for(stripes(below), [&](std::size_t task, std::size_t worker) {
      const std::size_t i = task * stripe, count = std::min(stripe, below - i);
      double* part = work.data() + worker * stripe * b;
      gemm(blas::transpose::no, blas::transpose::no, count, r, rest, 1, a.at(k + w + i, k + w), a.stride, u.data, rest,
           0, part, stripe);
      gemm(blas::transpose::no, blas::transpose::no, count, r, w, -1, v.at(w + i, 0), v.stride, z.data(), w, 1, part,
           stripe);
      gemm(blas::transpose::no, blas::transpose::no, count, r, r, 1, part, stripe, s.data, s.stride, 0, x.at(i, 0),
           x.stride);
    });
    const double part_left = static_cast<double>(rest) / static_cast<double>(a.cols);
    factored = go(1 - part_left * part_left * part_left);
    const auto update = [&](std::size_t i, std::size_t j, std::size_t rows, std::size_t cols) {
      gemm(blas::transpose::no, blas::transpose::yes, rows, cols, w + r, -1, v.at(w + i, 0), v.stride, y.at(j, 0), rest,
           1, a.at(k + w + i, k + w + j), a.stride);
    };
    const std::size_t down = (below + tile - 1) / tile, along = (rest - r + tile - 1) / tile;
    pool.parallel_for(1 + down * along, [&](std::size_t task, std::size_t) {
      if (task == 0) {
        update(0, 0, below, r);
        if (factored) factor_panel({a.at(k + w, k + w), below, r, a.stride}, t, panel_work.data());
      } else {
        const std::size_t i = (task - 1) % down * tile, j = r + (task - 1) / down * tile;
        update(i, j, std::min(tile, below - i), std::min(tile, rest - j));
      }
    });
    if (!factored) {
      k += b;
      return {};
    }
  }
  return extract_band(a, std::min(b, a.cols - 1), false);
}

}  // namespace optscope::detail
