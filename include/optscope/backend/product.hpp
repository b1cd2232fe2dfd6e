// SPDX-License-Identifier: MIT
#pragma once
// Matrix products on one thread: packing a matrix into panels, and rows times such panels.

#include <algorithm>
#include <cstddef>
#include <optscope/backend/tile.hpp>
#include <optscope/core/tensor.hpp>
#include <type_traits>

namespace optscope::kernel {

/// Elements of a packed matrix of so many columns: panels one after the other, each (depth, its width), the last one
/// rounded up to whole vectors with zeros.
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

  /// From row to row of the panel that begins at column `first`.
  [[nodiscard]] std::size_t width(std::size_t first) const {
    if (stride != 0) return stride;
    const std::size_t n = lanes<T>();
    return std::min(panel_width<T>(), (columns - first + n - 1) / n * n);
  }
  [[nodiscard]] const T* panel(std::size_t first) const { return data + (stride != 0 ? first : first * depth); }
};

/// w (depth, columns) where it lies, for few rows times it. Its columns must fill whole vectors.
template <class T>
packed_matrix<T> in_place(tensor_view<const T, 2> w) {
  return {w.data(), w.rows(), w.cols(), w.stride()};
}

/// Packs wᵀ: the columns of the result are the rows of w (columns, depth).
template <class T>
packed_matrix<T> pack_transposed(tensor_view<const T, 2> w, T* memory) {
  const packed_matrix<T> result{memory, w.cols(), w.rows()};
  const std::size_t n = lanes<T>();
  for (std::size_t first = 0; first < result.columns; first += panel_width<T>()) {
    const std::size_t width = result.width(first);
    for (std::size_t column = 0; column < width; column += n) {
      T* out = memory + first * result.depth + column;
      if (first + column + n <= result.columns) {
        transpose(w.row(first + column).data(), w.stride(), result.depth, out, width);
        continue;
      }
      for (std::size_t i = 0; i < n; ++i) {
        const bool there = first + column + i < result.columns;
        for (std::size_t k = 0; k < result.depth; ++k) out[k * width + i] = there ? w(first + column + i, k) : T{0};
      }
    }
  }
  return result;
}

/// Packs w (depth, columns) as it is.
template <class T>
packed_matrix<T> pack(tensor_view<const T, 2> w, T* memory) {
  const packed_matrix<T> result{memory, w.rows(), w.cols()};
  for (std::size_t first = 0; first < result.columns; first += panel_width<T>()) {
    const std::size_t width = result.width(first), count = std::min(width, result.columns - first);
    for (std::size_t k = 0; k < result.depth; ++k) {
      T* out = memory + first * result.depth + k * width;
      std::copy_n(w.row(k).data() + first, count, out);
      std::fill(out + count, out + width, T{0});
    }
  }
  return result;
}

/// What a product begins with: zeros, the bias in every row, or what y holds already.
enum class product_start { zero, bias, y };

namespace detail {
/// Rows [row, row + Rows) of `multiply_packed`, panel by panel.
template <int Rows, class T>
void multiply_rows(tensor_view<const T, 2> x, std::size_t row, const packed_matrix<T>& w, product_start start,
                   const T* bias, tensor_view<T, 2> y) {
  constexpr std::size_t widest = panel_vectors * 64 / sizeof(T);
  const T* a = x.row(row).data();
  for (std::size_t first = 0; first < y.cols(); first += panel_width<T>()) {
    const std::size_t count = std::min(panel_width<T>(), y.cols() - first);
    const std::size_t vectors = (count + lanes<T>() - 1) / lanes<T>();
    const bool whole = count == vectors * lanes<T>();
    T sums[Rows * widest], begin[Rows * widest];  // in place of y and of where to begin, unless whole vectors fit there
    T* c = y.row(row).data() + first;
    const T* from = begin;
    std::size_t ldc = y.stride(), from_stride = 0;
    if (start == product_start::y) {
      from_stride = whole ? ldc : widest;
      if (whole) from = c;
      for (int i = 0; !whole && i < Rows; ++i) std::copy_n(c + i * ldc, count, begin + i * widest);
    } else if (start == product_start::bias && whole) {
      from = bias + first;
    } else {
      std::fill_n(begin, widest, T{0});
      if (start == product_start::bias) std::copy_n(bias + first, count, begin);
    }
    if (!whole) {
      c = sums;
      ldc = widest;
    }
    const auto run = [&]<int Vectors>(std::integral_constant<int, Vectors>) {
      tile<T, Rows, Vectors>(a, x.stride(), w.panel(first), w.width(first), x.cols(), from, from_stride, c, ldc);
    };
    if (vectors == 3) run(std::integral_constant<int, 3>{});
    if (vectors == 2) run(std::integral_constant<int, 2>{});
    if (vectors == 1) run(std::integral_constant<int, 1>{});
    for (int i = 0; !whole && i < Rows; ++i) std::copy_n(sums + i * widest, count, y.row(row + i).data() + first);
  }
}
}  // namespace detail

/// y (m, n) = start + x (m, depth) w: of w the first n columns and, if x is narrower than w is deep, the first rows. A
/// row of y has the same bits whatever m is.
template <class T>
void multiply_packed(tensor_view<const T, 2> x, const packed_matrix<T>& w, product_start start, const T* bias,
                     tensor_view<T, 2> y) {
  std::size_t row = 0;
  const auto rows = [&]<int Rows>(std::integral_constant<int, Rows>) {
    for (; row + Rows <= x.rows(); row += Rows) detail::multiply_rows<Rows, T>(x, row, w, start, bias, y);
  };
  if (tile_rows() == 8) rows(std::integral_constant<int, 8>{});
  rows(std::integral_constant<int, 4>{});
  rows(std::integral_constant<int, 2>{});
  rows(std::integral_constant<int, 1>{});
}

}  // namespace optscope::kernel
