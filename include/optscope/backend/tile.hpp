// SPDX-License-Identifier: MIT
#pragma once
// The product that everything else is made of: some rows times a packed panel of columns, held in vector registers.

#include <cstddef>
#include <optscope/core/simd.hpp>
#include <type_traits>
#include <utility>

namespace optscope::kernel {

/// A panel is at most so many vectors wide: 8 rows of 3 vectors fill the 32 registers of AVX-512 (24 sums, 3 columns,
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
/// Rows that a tile of whole panels should have.
[[nodiscard]] inline std::size_t tile_rows() { return simd::vector_bytes() == 64 ? 8 : 4; }

namespace detail {
template <class T, int Bytes>
struct vector_of {
  typedef T type __attribute__((vector_size(Bytes), aligned(alignof(T)), may_alias));  // anywhere in an array of T
  typedef T local __attribute__((vector_size(Bytes)));  // with its own alignment, which references to it assume
};

/// c = start + a b. Every element is one chain of additions over the depth, whatever the tile: a row of c has the same
/// bits in a tile of any other number of rows.
template <class T, int Bytes, int Rows, int Vectors>
[[gnu::always_inline]] inline void tile_body(const T* a, std::size_t lda, const T* b, std::size_t ldb,
                                             std::size_t depth, const T* start, std::size_t start_stride, T* c,
                                             std::size_t ldc) noexcept {
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
}  // namespace detail

/// c (Rows, Vectors * lanes) = start + a (Rows, depth) b (depth, Vectors * lanes), b without gaps; `start` has a row
/// each `start_stride` elements, 0 for one row that all begin with.
template <class T, int Rows, int Vectors>
void tile(const T* a, std::size_t lda, const T* b, std::size_t ldb, std::size_t depth, const T* start,
          std::size_t start_stride, T* c, std::size_t ldc) noexcept {
  simd::run_wide([&](auto bytes) __attribute__((always_inline)) {
    detail::tile_body<T, decltype(bytes)::value, Rows, Vectors>(a, lda, b, ldb, depth, start, start_stride, c, ldc);
  });
}

/// Transposes `lanes<T>()` rows of w, `stride` apart: out[k * gap + i] = w[i * stride + k], k < depth.
template <class T>
void transpose(const T* w, std::size_t stride, std::size_t depth, T* out, std::size_t gap) noexcept {
  simd::run_wide([&](auto bytes) __attribute__((always_inline)) {
    detail::transpose<T, decltype(bytes)::value>(w, stride, depth, out, gap);
  });
}

}  // namespace optscope::kernel
