// SPDX-License-Identifier: MIT
#pragma once
// Dense matrices to band form by blocked Householder reflections, all products in pieces on a pool of threads.

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
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

namespace detail {

/// A column-major matrix: element (i, j) is at data[i + j * stride].
struct column_major {
  double* data = nullptr;
  std::size_t rows = 0, cols = 0, stride = 0;
  [[nodiscard]] double* at(std::size_t i, std::size_t j) const { return data + i + j * stride; }
};

inline constexpr std::size_t band_width =
    64;                                     // panels narrower than this waste the products, wider ones the second step
inline constexpr std::size_t stripe = 256;  // rows or columns a task; fixed, so that bits do not depend on threads

[[nodiscard]] inline std::size_t stripes(std::size_t count) { return (count + stripe - 1) / stripe; }

/// Doubles of scratch memory that the reductions take beside the matrix.
[[nodiscard]] inline std::size_t band_scratch(std::size_t rows, std::size_t threads) {
  return band_width * (4 * rows + threads * stripe + 2 * band_width);
}

inline void gemm(CBLAS_TRANSPOSE ta, CBLAS_TRANSPOSE tb, std::size_t m, std::size_t n, std::size_t k, double alpha,
                 const double* a, std::size_t lda, const double* b, std::size_t ldb, double beta, double* c,
                 std::size_t ldc) {
  if (m == 0 || n == 0) return;
  cblas_dgemm(CblasColMajor, ta, tb, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), alpha, a,
              static_cast<int>(lda), b, static_cast<int>(ldb), beta, c, static_cast<int>(ldc));
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

/// Upper band of width 64 with the singular values of `a` (rows >= cols), which is overwritten: QR of a panel of
/// columns, LQ of the panel of rows to its right, and so on (Großer & Lang 1999). 8/3 n^3 operations for a square.
/// `go_on(fraction)` is asked between panels; an empty band says that it said no, at column `k`, from where a call with
/// the same `a` goes on.
template <class GoOn>
[[nodiscard]] band_matrix reduce_to_band(const column_major& a, thread_pool& pool, std::size_t& k, GoOn&& go_on) {
  const auto ld = static_cast<int>(a.stride);
  std::vector<double> t(band_width * band_width), panel_work(band_width * a.rows);
  std::vector<double> work(pool.size() * stripe * band_width);
  const auto work_of = [&](std::size_t worker) { return work.data() + worker * stripe * band_width; };
  for (; k < a.cols; k += band_width) {
    const double left = static_cast<double>(a.cols - k) / static_cast<double>(a.cols);
    if (!go_on(1 - left * left * left)) return {};
    const std::size_t w = std::min(band_width, a.cols - k), below = a.rows - k, rest = a.cols - k - w;
    const auto wide = static_cast<int>(w);
    static_cast<void>(lapack::geqrt(static_cast<int>(below), wide, a.at(k, k), ld, t.data(), wide, panel_work.data()));
    if (rest == 0) break;
    pool.parallel_for(stripes(rest), [&](std::size_t task, std::size_t worker) {
      const std::size_t first = task * stripe, count = std::min(stripe, rest - first);
      static_cast<void>(lapack::apply_qr_left(static_cast<int>(below), static_cast<int>(count), wide, a.at(k, k), ld,
                                              t.data(), wide, a.at(k, k + w + first), ld, work_of(worker)));
    });
    const auto reflectors = static_cast<int>(std::min(w, rest)), right = static_cast<int>(rest);
    static_cast<void>(lapack::gelqt(wide, right, a.at(k, k + w), ld, t.data(), reflectors, panel_work.data()));
    pool.parallel_for(stripes(below - w), [&](std::size_t task, std::size_t worker) {
      const std::size_t first = task * stripe, count = std::min(stripe, below - w - first);
      static_cast<void>(lapack::apply_lq_right(static_cast<int>(count), right, reflectors, a.at(k, k + w), ld, t.data(),
                                               reflectors, a.at(k + w + first, k + w), ld, work_of(worker)));
    });
  }
  return extract_band(a, std::min(band_width, a.cols - 1), false);
}

}  // namespace detail
}  // namespace optscope
