// SPDX-License-Identifier: MIT
#pragma once
// The loops that product.ipp is made of, for vectors of a given size: some rows times a panel, and a transposition.

#include <cstddef>
#include <utility>

namespace optscope::kernel::detail {

template <class T, int Bytes>
struct vector_of {
  typedef T type __attribute__((vector_size(Bytes), aligned(alignof(T)), may_alias));  // anywhere in an array of T
  typedef T local __attribute__((vector_size(Bytes)));  // with its own alignment, which references to it assume
};

/// c = start + a b. Every element is one chain of additions over the depth, whatever the tile: a row of c has the same
/// bits in a tile of any other number of rows.
template <class T, int Bytes, int Rows, int Vectors>
[[gnu::always_inline]] inline void tile(const T* a, std::size_t lda, const T* b, std::size_t ldb, std::size_t depth,
                                        const T* start, std::size_t start_stride, T* c, std::size_t ldc) noexcept {
  using vector = typename vector_of<T, Bytes>::type;
  constexpr std::size_t width = Bytes / sizeof(T);
  vector sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 3
    for (int j = 0; j < Vectors; ++j) {
      sum[i][j] = *reinterpret_cast<const vector*>(start + i * start_stride + j * width);
    }
  }
  for (std::size_t k = 0; k < depth; ++k, b += ldb) {
    vector column[Vectors];
#pragma GCC unroll 3
    for (int j = 0; j < Vectors; ++j) column[j] = *reinterpret_cast<const vector*>(b + j * width);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const T factor = a[i * lda + k];
#pragma GCC unroll 3
      for (int j = 0; j < Vectors; ++j) sum[i][j] += factor * column[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 3
    for (int j = 0; j < Vectors; ++j) *reinterpret_cast<vector*>(c + i * ldc + j * width) = sum[i][j];
  }
}

/// Swaps the off-diagonal blocks of size D of two rows of a matrix that is being transposed.
template <class Vector, std::size_t D, std::size_t... J>
[[gnu::always_inline]] inline void exchange(Vector& a, Vector& b, std::index_sequence<J...>) noexcept {
  constexpr std::size_t n = sizeof...(J);
  const Vector low = __builtin_shufflevector(a, b, ((J & D) != 0 ? (J ^ D) + n : J)...);
  b = __builtin_shufflevector(a, b, ((J & D) != 0 ? J + n : J ^ D)...);
  a = low;
}

template <class Vector, std::size_t D, std::size_t N>
[[gnu::always_inline]] inline void exchange_all(Vector* rows) noexcept {
#pragma GCC unroll 16
  for (std::size_t i = 0; i < N; ++i) {
    if ((i & D) == 0) exchange<Vector, D>(rows[i], rows[i | D], std::make_index_sequence<N>{});
  }
  if constexpr (D > 1) exchange_all<Vector, D / 2, N>(rows);
}

/// out[k * gap + i] = w[i * stride + k] for one vector's width of i and all k.
template <class T, int Bytes>
[[gnu::always_inline]] inline void transpose(const T* w, std::size_t stride, std::size_t depth, T* out,
                                             std::size_t gap) noexcept {
  using vector = typename vector_of<T, Bytes>::type;
  using local = typename vector_of<T, Bytes>::local;
  constexpr std::size_t n = Bytes / sizeof(T);
  std::size_t k = 0;
  for (; k + n <= depth; k += n) {
    local rows[n];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < n; ++i) rows[i] = *reinterpret_cast<const vector*>(w + i * stride + k);
    exchange_all<local, n / 2, n>(rows);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < n; ++i) *reinterpret_cast<vector*>(out + (k + i) * gap) = rows[i];
  }
  for (; k < depth; ++k) {
    for (std::size_t i = 0; i < n; ++i) out[k * gap + i] = w[i * stride + k];
  }
}

}  // namespace optscope::kernel::detail
