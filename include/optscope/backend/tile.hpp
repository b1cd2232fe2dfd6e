// SPDX-License-Identifier: MIT
#pragma once
// The loops that product.ipp is made of, for vectors of a given size: some rows times a panel, and unpacking
// a matrix as it is stored.

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

/// The vectors of `Piece` one after the other in a larger one; `count` of them.
template <class Vector, class Piece, class Element, std::size_t Count>
[[gnu::always_inline]] inline void join(const Piece* pieces, Vector& all) noexcept {
  constexpr std::size_t n = sizeof(Piece) / sizeof(Element);
  const auto both = []<class Half, class Whole, std::size_t... J>(
      const Half& a, const Half& b, Whole& c, std::index_sequence<J...>) __attribute__((always_inline)) {
    c = __builtin_shufflevector(a, b, J...);
  };
  if constexpr (Count == 1) {
    all = pieces[0];
  } else if constexpr (Count == 2) {
    both(pieces[0], pieces[1], all, std::make_index_sequence<2 * n>{});
  } else {
    typename vector_of<Element, 2 * sizeof(Piece)>::local low, high;
    both(pieces[0], pieces[1], low, std::make_index_sequence<2 * n>{});
    both(pieces[2], pieces[3], high, std::make_index_sequence<2 * n>{});
    both(low, high, all, std::make_index_sequence<4 * n>{});
  }
}

/// Elements of a stored type as they lie in memory.
template <dtype Stored>
using stored_element =
    std::conditional_t<Stored == dtype::f64, double, std::conditional_t<Stored == dtype::f32, float, std::uint16_t>>;

template <class T, dtype Stored>
[[nodiscard, gnu::always_inline]] inline T load(const std::byte* from) noexcept {
  stored_element<Stored> value;
  std::memcpy(&value, from, sizeof value);
  if constexpr (Stored == dtype::f16) return static_cast<T>(half_to_float(value));
  if constexpr (Stored == dtype::bf16) return static_cast<T>(bfloat16_to_float(value));
  return static_cast<T>(value);
}

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

/// Half of the 16-bit floats of a vector as floats: exact.
template <dtype Stored, int Bytes, std::size_t First, std::size_t... J>
[[gnu::always_inline]] inline void halves_to_floats(const typename vector_of<std::uint16_t, Bytes>::local& from,
                                                    typename vector_of<float, Bytes>::local& to,
                                                    std::index_sequence<J...>) noexcept {
  using words = typename vector_of<std::uint32_t, Bytes>::local;
  using floats = typename vector_of<float, Bytes>::local;
  typename vector_of<std::uint16_t, Bytes / 2>::local half;
  half = __builtin_shufflevector(from, from, (First + J)...);
  if constexpr (Stored == dtype::bf16) {
    const words wide = __builtin_convertvector(half, words) << 16;
    to = reinterpret_cast<floats>(wide);
#if defined(__x86_64__)
  } else if constexpr (Bytes == 64) {
    halves_avx512(half, to);
  } else if constexpr (Bytes == 32) {
    halves_f16c(half, to);
#endif
  } else {  // as `half_to_float`
    const words wide = __builtin_convertvector(half, words), magnitude = (wide & 0x7fffu) << 13;
    const floats scaled = reinterpret_cast<floats>(magnitude) * 0x1p112f;
    const words special = reinterpret_cast<words>(magnitude >= 0x0f800000u);
    const words bits =
        (reinterpret_cast<words>(scaled) & ~special) | ((magnitude | 0x7f800000u) & special) | (wide & 0x8000u) << 16;
    to = reinterpret_cast<floats>(bits);
  }
}

/// The elements of a vector as T, in as many vectors as that takes.
template <class T, dtype Stored, int Bytes>
[[gnu::always_inline]] inline void widen(
    const typename vector_of<stored_element<Stored>, Bytes>::local& from,
    typename vector_of<T, Bytes>::local (&to)[sizeof(T) / sizeof(stored_element<Stored>)]) noexcept {
  if constexpr (std::is_same_v<T, stored_element<Stored>>) {
    to[0] = from;
  } else if constexpr (sizeof(stored_element<Stored>) == 2) {
    constexpr std::size_t n = Bytes / sizeof(float);
    typename vector_of<float, Bytes>::local floats[2];
    halves_to_floats<Stored, Bytes, 0>(from, floats[0], std::make_index_sequence<n>{});
    halves_to_floats<Stored, Bytes, n>(from, floats[1], std::make_index_sequence<n>{});
    if constexpr (std::is_same_v<T, float>) {
      to[0] = floats[0];
      to[1] = floats[1];
    } else {
      typename vector_of<double, Bytes>::local low[2], high[2];
      widen<double, dtype::f32, Bytes>(floats[0], low);
      widen<double, dtype::f32, Bytes>(floats[1], high);
      for (int i = 0; i < 2; ++i) to[i] = low[i];
      for (int i = 0; i < 2; ++i) to[2 + i] = high[i];
    }
  } else {  // float to double
    const auto half = [&]<std::size_t... J>(std::size_t i, std::index_sequence<J...>) __attribute__((always_inline)) {
      typename vector_of<float, Bytes / 2>::local part;
      part = __builtin_shufflevector(from, from, J...);
      to[i] = __builtin_convertvector(part, typename vector_of<double, Bytes>::local);
    };
    constexpr std::size_t n = Bytes / sizeof(double);
    half(0, std::make_index_sequence<n>{});
    [&]<std::size_t... J>(std::index_sequence<J...>) __attribute__((always_inline)) {
      half(1, std::index_sequence<(n + J)...>{});
    }
    (std::make_index_sequence<n>{});
  }
}

/// Rows of a stored matrix that are unpacked at a time: as many elements as 16 bytes hold, for each 128 bits of a
/// vector.
template <dtype Stored, int Bytes>
inline constexpr std::size_t block_rows = Bytes / sizeof(stored_element<Stored>);
/// Vectors of T that one element of each of them takes.
template <class T, dtype Stored>
inline constexpr std::size_t block_vectors = sizeof(T) / sizeof(stored_element<Stored>);

/// out[v][k * gap[v] + i] = element k of row v * width + i as T, for all k < depth. Meanwhile the cache fetches as much
/// of the rows `ahead`, unless they are null.
template <class T, dtype Stored, int Bytes>
[[gnu::always_inline]] inline void unpack(const std::byte* const* rows, const std::byte* const* ahead,
                                          std::size_t depth, T* const* out, const std::size_t* gap) noexcept {
  using element = stored_element<Stored>;
  typedef element piece __attribute__((vector_size(16), aligned(1), may_alias));
  using vector = typename vector_of<T, Bytes>::type;
  constexpr std::size_t n = 16 / sizeof(element), lanes = Bytes / 16, height = block_rows<Stored, Bytes>,
                        vectors = block_vectors<T, Stored>, width = Bytes / sizeof(T), line = 64;
  std::size_t k = 0;
  for (; k + n <= depth; k += n) {
    const std::size_t at = k * sizeof(element);
    if (height >= 4 && ahead != nullptr) {  // a quarter of the rows at each of the four steps of a line
#pragma GCC unroll 8
      for (std::size_t i = 0; i < height / 4; ++i) {
        __builtin_prefetch(ahead[at / 16 % 4 * (height / 4) + i] + at / line * line, 0, 3);
      }
    }
    typename vector_of<element, Bytes>::local stored[n];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < n; ++i) {
      typename vector_of<element, 16>::local pieces[lanes];
#pragma GCC unroll 4
      for (std::size_t lane = 0; lane < lanes; ++lane) {
        pieces[lane] = *reinterpret_cast<const piece*>(rows[lane * n + i] + at);
      }
      join<typename vector_of<element, Bytes>::local, typename vector_of<element, 16>::local, element, lanes>(
          pieces, stored[i]);
    }
    transpose<n, Bytes / sizeof(element)>(stored);
#pragma GCC unroll 8
    for (std::size_t i = 0; i < n; ++i) {
      typename vector_of<T, Bytes>::local wide[vectors];
      widen<T, Stored, Bytes>(stored[i], wide);
#pragma GCC unroll 4
      for (std::size_t v = 0; v < vectors; ++v) *reinterpret_cast<vector*>(out[v] + (k + i) * gap[v]) = wide[v];
    }
  }
  for (; k < depth; ++k) {
    for (std::size_t i = 0; i < height; ++i) {
      out[i / width][k * gap[i / width] + i % width] = load<T, Stored>(rows[i] + k * sizeof(element));
    }
  }
}

}  // namespace optscope::kernel::detail
