// SPDX-License-Identifier: MIT
#pragma once
// Dense matrices to band form by blocked Householder reflections, all products in pieces on a pool of threads.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/backend/blas_functions.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <vector>

namespace optscope {

/// A band matrix (size, size) with the singular values of an operator (or, symmetric, with their squares as
/// eigenvalues): what is left of a dense matrix after nearly all of the work, 13 MB for 26,112 values. Plain data:
/// write it to a file and give it back to the analyser to go on from there.
struct band_matrix {
  std::size_t size = 0;           ///< 0: nothing computed yet
  std::size_t width = 0;          ///< diagonals beside the main one
  bool symmetric = false;         ///< the lower band of JᵀJ; otherwise the upper band of J
  int exponent = 0;               ///< the matrix was multiplied by 2^-exponent first
  std::vector<double> diagonals;  ///< (size, width + 1): LAPACK's band storage, column by column
  /// Of an analysis that was stopped before there was a band: the dense matrix as far as it is reduced, 8 n^2 bytes.
  std::vector<double> unreduced;
  std::size_t reduced = 0;  ///< columns of it that are done
};

template <class File>
void fields_of(File& file, band_matrix& band) {
  file(band.size, band.width, band.symmetric, band.exponent, band.diagonals, band.unreduced, band.reduced);
}

namespace detail {

/// A column-major matrix: element (i, j) is at data[i + j * stride].
struct column_major {
  double* data = nullptr;
  std::size_t rows = 0, cols = 0, stride = 0;
  [[nodiscard]] double* at(std::size_t i, std::size_t j) const { return data + i + j * stride; }
};

inline constexpr std::size_t band_width = 64;           // narrower wastes the products, wider the chase behind them
inline constexpr std::size_t stripe = 512, tile = 512;  // a task's share; fixed, so that bits do not depend on threads

[[nodiscard]] inline std::size_t stripes(std::size_t count) { return (count + stripe - 1) / stripe; }

/// Doubles of scratch memory that the reductions take beside the matrix.
[[nodiscard]] inline std::size_t band_scratch(std::size_t rows, std::size_t threads) {
  return band_width * (4 * rows + threads * stripe + 2 * band_width);
}

inline void gemm(blas::transpose ta, blas::transpose tb, std::size_t m, std::size_t n, std::size_t k, double alpha,
                 const double* a, std::size_t lda, const double* b, std::size_t ldb, double beta, double* c,
                 std::size_t ldc) {
  if (m == 0 || n == 0) return;
  blas::gemm(blas::layout::column_major, ta, tb, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), alpha,
             a, static_cast<int>(lda), b, static_cast<int>(ldb), beta, c, static_cast<int>(ldc));
}

/// The upper band of the upper left (cols, cols) square of `a`, or the lower one.
[[nodiscard]] inline band_matrix extract_band(const column_major& a, std::size_t width, bool lower) {
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

/// QR of the panel `a` in place, its w = min(rows, cols) reflectors below the diagonal, their T (w, w) upper with zeros
/// below if `t` had them. `work`: 64 * 64.
inline void factor_panel(const column_major& a, const column_major& t, double* work) {
  static_cast<void>(lapack::geqrt(static_cast<int>(a.rows), static_cast<int>(a.cols), a.data,
                                  static_cast<int>(a.stride), t.data, static_cast<int>(t.stride), work));
}

/// The reflectors that `factor_panel` left in `a`, with their ones and zeros, into v (rows, w).
inline void write_out_reflectors(const column_major& a, const column_major& v) {
  for (std::size_t j = 0; j < v.cols; ++j) {
    std::fill(v.at(0, j), v.at(j, j), 0.0);
    *v.at(j, j) = 1;
    if (v.data != a.data) std::copy(a.at(j + 1, j), a.at(a.rows, j), v.at(j + 1, j));
  }
}

/// Upper band of width 64 with the singular values of `a` (rows >= cols), which is overwritten: QR of a panel of
/// columns (v, t), QR of the transposed panel of rows to its right (u, s), and so on (Großer & Lang 1999), both applied
/// at once:
///
///     A - v yᵀ - x uᵀ,   y = Aᵀ v t,   x = (A - v yᵀ) u s
///
/// The next panel of columns is factored while the rest is updated. 8/3 n^3 operations for a square. `go_on(fraction)`
/// is asked once a panel; an empty band says that it said no, before column `k`, from where a call with the same `a`
/// goes on.
template <class GoOn>
[[nodiscard]] band_matrix reduce_to_band(const column_major& a, thread_pool& pool, std::size_t& k, GoOn&& go_on) {
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
    factored = go_on(1 - part_left * part_left * part_left);
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

}  // namespace detail
}  // namespace optscope
