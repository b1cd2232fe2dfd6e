// SPDX-License-Identifier: MIT
#pragma once
// The loops that product.ipp is made of, for vectors of a given size: some rows times a panel, and unpacking
// a matrix as it is stored.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optscope/core/dtype.hpp>
#include <type_traits>
#include <utility>

namespace optscope::kernel::detail {

template <class T, int Bytes>
struct vector_of {
  typedef T type __attribute__((vector_size(Bytes), aligned(alignof(T)), may_alias));  // anywhere in an array of T
  typedef T local __attribute__((vector_size(Bytes)));  // with its own alignment, which references to it assume
};

/// c = start + a b. Every element is one chain of additions over the depth, whatever the tile: a row of c has the same
/// bits in a tile of any other number of rows.
/// With several panels, each begins `apart` elements after the one before.
template <class T, int Bytes, int Rows, int Vectors, int Panels = 1>
[[gnu::always_inline]] inline void tile(const T* a, std::size_t lda, const T* b, std::size_t ldb, std::size_t depth,
                                        const T* start, std::size_t start_stride, T* c, std::size_t ldc,
                                        std::size_t apart = 0) noexcept {
  constexpr int all = Panels * Vectors;
  using vector = typename vector_of<T, Bytes>::type;
  constexpr std::size_t width = Bytes / sizeof(T);
  vector sum[Rows][all];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 6
    for (int j = 0; j < all; ++j) {
      sum[i][j] = *reinterpret_cast<const vector*>(start + i * start_stride + j * width);
    }
  }
  for (std::size_t k = 0; k < depth; ++k, b += ldb) {
    vector column[all];
#pragma GCC unroll 6
    for (int j = 0; j < all; ++j)
      column[j] = *reinterpret_cast<const vector*>(b + j / Vectors * apart + j % Vectors * width);
#pragma GCC unroll 8
    for (int i = 0; i < Rows; ++i) {
      const T factor = a[i * lda + k];
#pragma GCC unroll 6
      for (int j = 0; j < all; ++j) sum[i][j] += factor * column[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 6
    for (int j = 0; j < all; ++j) *reinterpret_cast<vector*>(c + i * ldc + j * width) = sum[i][j];
  }
}

/// Interleaves the elements of a and b within each 128 bits: a becomes the lower halves, b the upper ones.
template <std::size_t N, class Vector, std::size_t... J>
[[gnu::always_inline]] inline void interleave(const Vector& a, const Vector& b, Vector& low, Vector& high,
                                              std::index_sequence<J...>) noexcept {
  constexpr std::size_t all = sizeof...(J);
  low = __builtin_shufflevector(a, b, (J / N * N + J % N / 2 + J % 2 * all)...);
  high = __builtin_shufflevector(a, b, (J / N * N + N / 2 + J % N / 2 + J % 2 * all)...);
}

/// Transposes N vectors of N elements, in each 128 bits by itself.
template <std::size_t N, std::size_t All, class Vector, std::size_t Steps = N / 2>
[[gnu::always_inline]] inline void transpose(Vector (&rows)[N]) noexcept {
  if constexpr (Steps > 0) {
    Vector turned[N];
#pragma GCC unroll 4
    for (std::size_t i = 0; i < N / 2; ++i) {
      interleave<N>(rows[i], rows[i + N / 2], turned[2 * i], turned[2 * i + 1], std::make_index_sequence<All>{});
    }
#pragma GCC unroll 8
    for (std::size_t i = 0; i < N; ++i) rows[i] = turned[i];
    transpose<N, All, Vector, Steps / 2>(rows);
  }
}

/// Elements of a stored type as they lie in memory; of I8 two, one after the other in a row.
template <dtype Stored>
inline constexpr std::size_t in_element = Stored == dtype::i8 ? 2 : 1;
template <dtype Stored>
using stored_element =
    std::conditional_t<Stored == dtype::f64, double, std::conditional_t<Stored == dtype::f32, float, std::uint16_t>>;

#if defined(__x86_64__)
__attribute__((target("avx,f16c"))) inline void halves_f16c(const vector_of<std::uint16_t, 16>::local& from,
                                                            vector_of<float, 32>::local& to) noexcept {
  to = __builtin_ia32_vcvtph2ps256(reinterpret_cast<vector_of<short, 16>::local>(from));
}
__attribute__((target("avx512f"))) inline void halves_avx512(const vector_of<std::uint16_t, 32>::local& from,
                                                             vector_of<float, 64>::local& to) noexcept {
  constexpr short every = -1;  // lane
  constexpr int as_it_is = 4;  // the rounding mode; halves are exact
  to = __builtin_ia32_vcvtph2ps512_mask(reinterpret_cast<vector_of<short, 32>::local>(from),
                                        vector_of<float, 64>::local{}, every, as_it_is);
}
#endif

/// Elements that 16 bytes hold: as many rows of a stored matrix are transposed together.
template <dtype Stored>
inline constexpr std::size_t piece_size = 16 / sizeof(stored_element<Stored>);
template <dtype Stored>
using piece_of = typename vector_of<stored_element<Stored>, 16>::local;

/// As many stored elements as a vector of T holds, as T: exact. `which` of the two that an element of I8 holds.
template <class T, dtype Stored, int Bytes>
[[gnu::always_inline]] inline void widen(const stored_element<Stored>* from, std::size_t which,
                                         typename vector_of<T, Bytes>::local& to) noexcept {
  using element = stored_element<Stored>;
  constexpr std::size_t width = Bytes / sizeof(T);
  typename vector_of<element, width * sizeof(element)>::local values;
  std::memcpy(&values, from, sizeof values);
  if constexpr (Stored == dtype::i8) {
    using halves = typename vector_of<std::int16_t, width * 2>::local;
    using words = typename vector_of<std::int32_t, width * 4>::local;
    words both = __builtin_convertvector(reinterpret_cast<halves>(values), words);
    if (which == 0) both <<= 24;
    to = __builtin_convertvector(both >> (which == 0 ? 24 : 8), typename vector_of<T, Bytes>::local);
  } else if constexpr (std::is_same_v<T, element>) {
    to = values;
  } else if constexpr (Stored == dtype::f32) {
    to = __builtin_convertvector(values, typename vector_of<T, Bytes>::local);
  } else {
    using words = typename vector_of<std::uint32_t, width * 4>::local;
    using floats = typename vector_of<float, width * 4>::local;
    floats wide;
    if constexpr (Stored == dtype::bf16) {
      wide = reinterpret_cast<floats>(__builtin_convertvector(values, words) << 16);
#if defined(__x86_64__)
    } else if constexpr (Bytes >= 32 && width == 16) {
      halves_avx512(values, wide);
    } else if constexpr (Bytes >= 32 && width == 8) {
      halves_f16c(values, wide);
#endif
    } else {  // as `half_to_float`
      const words bits = __builtin_convertvector(values, words), magnitude = (bits & 0x7fffu) << 13;
      const floats scaled = reinterpret_cast<floats>(magnitude) * 0x1p112f;
      const words special = reinterpret_cast<words>(magnitude >= 0x0f800000u);
      wide = reinterpret_cast<floats>((reinterpret_cast<words>(scaled) & ~special) |
                                      ((magnitude | 0x7f800000u) & special) | (bits & 0x8000u) << 16);
    }
    to = __builtin_convertvector(wide, typename vector_of<T, Bytes>::local);
  }
}

/// `use(k, piece)` for every k < depth, which counts elements, in some order: element k of each of `piece_size` rows.
template <dtype Stored, int Bytes, class Use>
[[gnu::always_inline]] inline void for_pieces(const std::byte* const* rows, std::size_t depth, Use use,
                                              std::size_t k = 0) noexcept {
  using element = stored_element<Stored>;
  typedef element some __attribute__((vector_size(Bytes), aligned(1), may_alias));
  using vector = typename vector_of<element, Bytes>::local;
  constexpr std::size_t n = piece_size<Stored>, lanes = Bytes / 16;
  for (; k + lanes * n <= depth; k += lanes * n) {
    vector part[n];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < n; ++i) part[i] = *reinterpret_cast<const some*>(rows[i] + k * sizeof(element));
    transpose<n, lanes * n>(part);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < n; ++i) {
      const auto lane = [&]<std::size_t... J>(std::size_t at, std::index_sequence<J...>)
          __attribute__((always_inline)) {
        piece_of<Stored> piece;
        piece = __builtin_shufflevector(part[i], part[i], J...);
        use(k + at * n + i, piece);
      };
      [&]<std::size_t... Lane>(std::index_sequence<Lane...>) __attribute__((always_inline)) {
        const auto at = [&]<std::size_t L, std::size_t... J>(std::integral_constant<std::size_t, L>,
                                                             std::index_sequence<J...>) __attribute__((always_inline)) {
          lane(L, std::index_sequence<(L * n + J)...>{});
        };
        (at(std::integral_constant<std::size_t, Lane>{}, std::make_index_sequence<n>{}), ...);
      }
      (std::make_index_sequence<lanes>{});
    }
  }
  if constexpr (Bytes > 16) return for_pieces<Stored, 16>(rows, depth, use, k);
  for (; k < depth; ++k) {
    element values[n];
    for (std::size_t i = 0; i < n; ++i) std::memcpy(values + i, rows[i] + k * sizeof(element), sizeof(element));
    piece_of<Stored> piece;
    std::memcpy(&piece, values, sizeof piece);
    use(k, piece);
  }
}

/// Bytes of the vectors that a piece is written as, once its elements are T: as wide as it is, at most `Bytes`.
template <class T, dtype Stored, int Bytes>
inline constexpr int unpacked_bytes = std::min<int>(Bytes, piece_size<Stored> * sizeof(T));

/// out[v][k * gap[v] + i] = element k of row v * width + i as T, for all k < depth and all vectors of `unpacked_bytes`
/// that the rows take. `depth` is even for I8.
template <class T, dtype Stored, int Bytes>
[[gnu::always_inline]] inline void unpack(const std::byte* const* rows, std::size_t depth, T* const* out,
                                          const std::size_t* gap) noexcept {
  constexpr int size = unpacked_bytes<T, Stored, Bytes>;
  constexpr std::size_t width = size / sizeof(T), vectors = piece_size<Stored> / width;
  constexpr std::size_t each = in_element<Stored>;
  for_pieces<Stored, Bytes>(
      rows, depth / each, [&](std::size_t k, const piece_of<Stored>& piece) __attribute__((always_inline)) {
        stored_element<Stored> values[piece_size<Stored>];
        std::memcpy(values, &piece, sizeof values);
#pragma GCC unroll 2
        for (std::size_t which = 0; which < each; ++which) {
#pragma GCC unroll 8
          for (std::size_t v = 0; v < vectors; ++v) {
            typename vector_of<T, size>::local column;
            widen<T, Stored, size>(values + v * width, which, column);
            *reinterpret_cast<typename vector_of<T, size>::type*>(out[v] + (k * each + which) * gap[v]) = column;
          }
        }
      });
}

/// sums (Rows, Vectors vectors) += a (Rows, depth) times some columns of transposed elements (depth, width); of I8
/// each element takes two columns of a. Every sum
/// is one chain of additions, as those of `tile` are. `each()` is called for each step of the depth.
template <class T, dtype Stored, int Bytes, int Rows, int Vectors, std::size_t Width, class Each>
[[gnu::always_inline]] inline void multiply_columns(const T* a, std::size_t lda, std::size_t depth,
                                                    const stored_element<Stored>* columns, T* sums,
                                                    Each each) noexcept {
  using vector = typename vector_of<T, Bytes>::type;
  constexpr std::size_t width = Bytes / sizeof(T);
  typename vector_of<T, Bytes>::local sum[Rows][Vectors];
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) sum[i][j] = *reinterpret_cast<const vector*>(sums + i * Width + j * width);
  }
  for (std::size_t k = 0; k < depth; ++k, columns += Width) {
    each();
#pragma GCC unroll 2
    for (std::size_t which = 0; which < in_element<Stored>; ++which) {
      typename vector_of<T, Bytes>::local column[Vectors];
#pragma GCC unroll 8
      for (int j = 0; j < Vectors; ++j) widen<T, Stored, Bytes>(columns + j * width, which, column[j]);
#pragma GCC unroll 8
      for (int i = 0; i < Rows; ++i) {
        const T factor = a[i * lda + k * in_element<Stored> + which];
#pragma GCC unroll 8
        for (int j = 0; j < Vectors; ++j) sum[i][j] += factor * column[j];
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Rows; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < Vectors; ++j) *reinterpret_cast<vector*>(sums + i * Width + j * width) = sum[i][j];
  }
}

}  // namespace optscope::kernel::detail
