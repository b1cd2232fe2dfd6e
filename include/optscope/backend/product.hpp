// SPDX-License-Identifier: MIT
#pragma once
// Matrix products on one thread: packing a matrix into panels, and rows times such panels.

#include <algorithm>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/tensor.hpp>
#include <type_traits>

namespace optscope::kernel {

/// A panel is at most this many vectors wide: 8 rows of 3 vectors fill the 32 registers of AVX-512 (24 sums, 3 columns,
/// one broadcast), 4 rows the 16 of AVX2.
inline constexpr std::size_t panel_vectors = 3;

/// Elements of T in the widest vector of this CPU.
template <class T>
[[nodiscard]] std::size_t lanes() {
  return simd::vector_bytes() / sizeof(T);
}
/// Columns of a whole panel.
template <class T>
[[nodiscard]] std::size_t panel_width() {
  return panel_vectors * lanes<T>();
}
/// Rows that are multiplied at a time where there are enough.
[[nodiscard]] inline std::size_t tile_rows() { return simd::vector_bytes() == 64 ? 8 : 4; }

/// Elements of a packed matrix of this many columns: panels one after the other, each (depth, its width), the last one
/// rounded up to whole vectors.
template <class T>
[[nodiscard]] std::size_t packed_size(std::size_t columns, std::size_t depth) {
  return (columns + lanes<T>() - 1) / lanes<T>() * lanes<T>() * depth;
}

/// Panels of a matrix (depth, columns), or the matrix where it lies.
template <class T>
struct packed_matrix {
  const T* data;
  std::size_t depth, columns;
  std::size_t stride = 0;  // from row to row of a matrix that lies where it is; 0: packed
  std::size_t vector = lanes<T>();

  /// From row to row of the panel that begins at column `first`.
  [[nodiscard]] std::size_t width(std::size_t first) const {
    if (stride != 0) return stride;
    return std::min(panel_vectors * vector, (columns - first + vector - 1) / vector * vector);
  }
  [[nodiscard]] const T* panel(std::size_t first) const { return data + (stride != 0 ? first : first * depth); }
};

/// w (depth, columns) where it lies, for few rows times it. Its columns must fill whole vectors.
template <class T>
[[nodiscard]] packed_matrix<T> in_place(tensor_view<const T, 2> w) {
  return {w.data(), w.rows(), w.cols(), w.stride()};
}

/// Packs wᵀ into `memory`: the columns of the result are the rows of w (columns, depth); without the scales that w may
/// have.
template <class T>
packed_matrix<T> pack_transposed(const matrix_view<T>& w, T* memory);

/// Packs w (depth, columns) as it is into `memory`.
template <class T>
packed_matrix<T> pack(const matrix_view<T>& w, T* memory);

/// What a product begins with: zeros, the bias in every row, or what y holds already.
enum class product_start { zero, bias, y };

/// y (m, n) = start + x (m, depth) w: the first n columns of w and, if x is narrower than w is deep, its first rows. A
/// row of y has the same bits whatever m is.
template <class T>
void multiply_packed(tensor_view<const T, 2> x, const packed_matrix<T>& w, product_start start, const T* bias,
                     tensor_view<T, 2> y);

/// Rows of x that `multiply_stored` takes.
inline constexpr std::size_t most_stored_rows = 16;

/// Whether `multiply_stored` takes w. In double, which is for reference values, it is compiled for that alone.
template <class T>
[[nodiscard]] bool multiplies_stored(const matrix_view<T>& w) {
  return std::is_same_v<T, double> ? w.type() == dtype::f64 : !w.scaled() || w.cols() % 2 == 0;
}

/// y (m, n) = bias + x (m, depth) wᵀ for w (n, depth), for rows so few that packing w would take longer than
/// multiplying by it: as fast as memory where there is one. `bias` may be null. The bits are those of
/// `multiply_packed`. Scales that w may have are left out.
template <class T>
void multiply_stored(tensor_view<const T, 2> x, const matrix_view<T>& w, const T* bias, tensor_view<T, 2> y);

/// y (m, n) = y times the scales of w (n, depth) in each row, plus `bias`, which may be null.
template <class T>
void scale_columns(const matrix_view<T>& w, const T* bias, tensor_view<T, 2> y);

}  // namespace optscope::kernel

#ifndef OPTSCOPE_COMPILED
#include <optscope/backend/product.ipp>
#endif
