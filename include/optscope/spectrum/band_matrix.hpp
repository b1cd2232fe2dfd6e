// SPDX-License-Identifier: MIT
#pragma once
// Dense matrices to band form by blocked Householder reflections, all products in pieces on a pool of threads.

#include <cstddef>
#include <optscope/backend/blas_functions.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/erased_operator.hpp>
#include <vector>

namespace optscope {

/// A band matrix (size, size) with the singular values of an operator (or, symmetric, with their squares as
/// eigenvalues): what is left of a dense matrix after nearly all of the work, 13 MB for 26,112 values. Plain data:
/// write it to a file and give it back to the analyser to resume from there.
struct band_matrix {
  std::size_t size = 0;           ///< 0: nothing computed yet
  std::size_t width = 0;          ///< diagonals next to the main one
  bool symmetric = false;         ///< the lower band of JᵀJ; otherwise the upper band of J
  int exponent = 0;               ///< the matrix was multiplied by 2^-exponent first
  std::vector<double> diagonals;  ///< (size, width + 1): LAPACK's band storage, column by column
  /// Of an analysis that was stopped before there was a band: the dense matrix as far as it is reduced, 8 n^2 bytes.
  std::vector<double> unreduced;
  std::size_t reduced = 0;  ///< columns of it that are done

  [[nodiscard]] bool worth_saving() const noexcept { return size != 0 || !unreduced.empty(); }
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

inline constexpr std::size_t band_width = 64;           // narrower wastes the products, wider the chase after them
inline constexpr std::size_t stripe = 512, tile = 512;  // a task's share; fixed, so that bits do not depend on threads

[[nodiscard]] inline std::size_t stripes(std::size_t count) { return (count + stripe - 1) / stripe; }

/// Doubles of scratch memory that the reductions take in addition to the matrix.
[[nodiscard]] inline std::size_t band_scratch(std::size_t rows, std::size_t threads) {
  return band_width * (4 * rows + threads * stripe + 2 * band_width);
}

/// c (m, n) = alpha op(a) (m, k) op(b) (k, n) + beta c, all column-major.
void gemm(blas::transpose ta, blas::transpose tb, std::size_t m, std::size_t n, std::size_t k, double alpha,
          const double* a, std::size_t lda, const double* b, std::size_t ldb, double beta, double* c, std::size_t ldc);

/// The upper band of the upper left (cols, cols) square of `a`, or the lower one.
[[nodiscard]] band_matrix extract_band(const column_major& a, std::size_t width, bool lower);

/// QR of the panel `a` in place, its w = min(rows, cols) reflectors below the diagonal, their T (w, w) upper with zeros
/// below if `t` had them. `work`: 64 * 64.
void factor_panel(const column_major& a, const column_major& t, double* work);

/// The reflectors that `factor_panel` left in `a`, with their ones and zeros, into v (rows, w).
void write_out_reflectors(const column_major& a, const column_major& v);

/// Upper band of width 64 with the singular values of `a` (rows >= cols), which is overwritten: QR of a panel of
/// columns (v, t), QR of the transposed panel of rows to its right (u, s), and so on (Großer & Lang 1999), both applied
/// at once:
///
///     A - v yᵀ - x uᵀ,   y = Aᵀ v t,   x = (A - v yᵀ) u s
///
/// The next panel of columns is factored while the rest is updated. 8/3 n^3 operations for a square. `go(fraction)` is
/// asked once for each panel. If it returns false, the band is empty, and a call with the same `a` and `k` resumes.
[[nodiscard]] band_matrix reduce_to_band(const column_major& a, thread_pool& pool, std::size_t& k,
                                         const keep_going& go);

}  // namespace detail
}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/band_matrix.ipp>
#endif
