// SPDX-License-Identifier: MIT
#pragma once
// Bodies of product.hpp.

#include <cstring>
#include <optscope/backend/product.hpp>
#include <optscope/backend/tile.hpp>

namespace optscope::kernel {

namespace detail {

/// `pack_transposed` of a matrix of one stored type.
template <class T, int Bytes, dtype Stored>
[[gnu::always_inline]] inline void pack_stored(const matrix_view<T>& w, const packed_matrix<T>& to, T* memory,
                                               const matrix_view<T>& ahead) {
  constexpr std::size_t width = Bytes / sizeof(T), height = block_rows<Stored, Bytes>,
                        vectors = block_vectors<T, Stored>;
  T nowhere[width];  // for vectors that the last panel does not have
  for (std::size_t column = 0; column < to.columns; column += height) {
    const std::byte *rows[height], *next[height];
    for (std::size_t i = 0; i < height; ++i) rows[i] = w.row(std::min(column + i, to.columns - 1));
    for (std::size_t i = 0; i < height && ahead.size() != 0; ++i) {
      next[i] = ahead.row(std::min(column + i, ahead.rows() - 1));
    }
    T* out[vectors];
    std::size_t gap[vectors];
    for (std::size_t v = 0; v < vectors; ++v) {
      const std::size_t first = column + v * width, panel = first / (panel_vectors * width) * panel_vectors * width;
      const bool there = first < to.columns;
      out[v] = there ? memory + panel * to.depth + (first - panel) : nowhere;
      gap[v] = there ? to.width(panel) : 0;
    }
    unpack<T, Stored, Bytes>(rows, ahead.size() == 0 ? nullptr : next, to.depth, out, gap);
  }
}

/// Calls `body` with the type of a matrix's elements as a constant.
template <class T, class Body>
[[gnu::always_inline]] inline void for_stored(const matrix_view<T>& w, Body&& body) {
  switch (w.type()) {
    case dtype::f16: return body(std::integral_constant<dtype, dtype::f16>{});
    case dtype::bf16: return body(std::integral_constant<dtype, dtype::bf16>{});
    case dtype::f32: return body(std::integral_constant<dtype, dtype::f32>{});
    case dtype::f64:
      if constexpr (std::is_same_v<T, double>) body(std::integral_constant<dtype, dtype::f64>{});
  }
}

}  // namespace detail

template <class T>
packed_matrix<T> pack_transposed(const matrix_view<T>& w, T* memory, const matrix_view<T>& ahead) {
  const packed_matrix<T> result{memory, w.cols(), w.rows()};
  simd::run_wide([&](auto bytes) __attribute__((always_inline)) {
    detail::for_stored(
        w, [&](auto type) __attribute__((always_inline)) {
          detail::pack_stored<T, decltype(bytes)::value, decltype(type)::value>(w, result, memory, ahead);
        });
  });
  return result;
}

template <class T>
packed_matrix<T> pack(const matrix_view<T>& w, T* memory) {
  const packed_matrix<T> result{memory, w.rows(), w.cols()};
  const std::size_t element = size_of(w.type());
  for (std::size_t first = 0; first < result.columns; first += panel_width<T>()) {
    const std::size_t width = result.width(first), count = std::min(width, result.columns - first);
    for (std::size_t k = 0; k < result.depth; ++k) {
      T* out = memory + first * result.depth + k * width;
      if (w.type() == matrix_view<T>::own_type) {
        std::memcpy(out, w.row(k) + first * element, count * element);
      } else {
        convert(w.row(k) + first * element, w.type(), count, out);
      }
      std::fill(out + count, out + width, T{0});
    }
  }
  return result;
}

namespace detail {

/// Where the elements of a tile come from and go to, each with the distance from row to row.
template <class T>
struct tile_place {
  const T* from;
  std::size_t from_stride;  // 0: all rows begin with the same one
  T* to;
  std::size_t to_stride;
};

/// y itself where whole vectors fit into its `count` columns, else `begin` and `sums`, `wide` from row to row.
template <class T>
[[gnu::noinline]] tile_place<T> place_tile(product_start start, const T* bias, tensor_view<T, 2> y, std::size_t count,
                                           bool whole, T* begin, T* sums, std::size_t wide) {
  tile_place<T> at{begin, 0, whole ? y.data() : sums, whole ? y.stride() : wide};
  if (start == product_start::y && whole) {
    at.from = y.data();
    at.from_stride = y.stride();
  } else if (start == product_start::y) {
    at.from_stride = wide;
    for (std::size_t i = 0; i < y.rows(); ++i) std::copy_n(y.data() + i * y.stride(), count, begin + i * wide);
  } else if (start == product_start::bias && whole) {
    at.from = bias;
  } else {
    std::fill_n(begin, wide, T{0});
    if (start == product_start::bias) std::copy_n(bias, count, begin);
  }
  return at;
}

/// `multiply_packed` of `Rows` rows, panel by panel.
template <int Bytes, int Rows, class T>
[[gnu::always_inline]] inline void multiply_rows(tensor_view<const T, 2> x, const packed_matrix<T>& w,
                                                 product_start start, const T* bias, tensor_view<T, 2> y) {
  constexpr std::size_t width = Bytes / sizeof(T), widest = panel_vectors * width;
  constexpr int pair = Rows == (Bytes == 64 ? 8 : 4) && Bytes != 16 ? 2 : 1;  // vectors; in smaller tiles one by one
  constexpr bool few = Rows <= (Bytes == 64 ? 4 : 2) && Bytes != 16;          // more sums at a time hide their latency
  T sums[Rows * widest], begin[(few ? 2 : 1) * Rows * widest];
  for (std::size_t first = 0; first < y.cols(); first += widest) {
    if constexpr (few) {
      for (; first + 2 * widest <= y.cols(); first += 2 * widest) {
        const tensor_view<T, 2> part{y.data() + first, {Rows, 2 * widest}, y.stride()};
        const tile_place<T> at = place_tile<T>(start, bias == nullptr ? nullptr : bias + first, part, 2 * widest, true,
                                               begin, sums, 2 * widest);
        tile<T, Bytes, Rows, panel_vectors, 2>(x.data(), x.stride(), w.panel(first), w.width(first), x.cols(), at.from,
                                               at.from_stride, at.to, at.to_stride,
                                               w.panel(first + widest) - w.panel(first));
      }
      if (first == y.cols()) break;
    }
    const std::size_t count = std::min(widest, y.cols() - first), vectors = (count + width - 1) / width;
    const bool whole = count == vectors * width;
    const tile_place<T> at =
        place_tile<T>(start, bias == nullptr ? nullptr : bias + first, {y.data() + first, {Rows, count}, y.stride()},
                      count, whole, begin, sums, widest);
    const T* const panel = w.panel(first);
    const std::size_t gap = w.width(first);
    const auto multiply = [&]<int Vectors>(std::integral_constant<int, Vectors>, std::size_t column)
        __attribute__((always_inline)) {
      tile<T, Bytes, Rows, Vectors>(x.data(), x.stride(), panel + column, gap, x.cols(), at.from + column,
                                    at.from_stride, at.to + column, at.to_stride);
    };
    if (vectors == 3) {
      multiply(std::integral_constant<int, 3>{}, 0);
    } else if (pair == 2 && vectors == 2) {
      multiply(std::integral_constant<int, pair>{}, 0);
    } else {
      for (std::size_t i = 0; i < vectors; ++i) multiply(std::integral_constant<int, 1>{}, i * width);
    }
    for (int i = 0; !whole && i < Rows; ++i) std::copy_n(sums + i * widest, count, y.data() + i * y.stride() + first);
  }
}

}  // namespace detail

template <class T>
void multiply_packed(tensor_view<const T, 2> x, const packed_matrix<T>& w, product_start start, const T* bias,
                     tensor_view<T, 2> y) {
  simd::run_wide([&](auto bytes) __attribute__((always_inline)) {
    constexpr int size = decltype(bytes)::value;
    std::size_t row = 0;
    const auto rows = [&]<int Rows>(std::integral_constant<int, Rows>) __attribute__((always_inline)) {
      for (; row + Rows <= x.rows(); row += Rows) {
        detail::multiply_rows<size, Rows, T>(x.slice(row, Rows), w, start, bias, y.slice(row, Rows));
      }
    };
    if constexpr (size == 64) rows(std::integral_constant<int, 8>{});
    rows(std::integral_constant<int, 4>{});
    if constexpr (size != 16) rows(std::integral_constant<int, 2>{});
    rows(std::integral_constant<int, 1>{});
  });
}

#ifdef OPTSCOPE_COMPILED
template packed_matrix<float> pack_transposed(const matrix_view<float>&, float*, const matrix_view<float>&);
template packed_matrix<double> pack_transposed(const matrix_view<double>&, double*, const matrix_view<double>&);
template packed_matrix<float> pack(const matrix_view<float>&, float*);
template packed_matrix<double> pack(const matrix_view<double>&, double*);
template void multiply_packed(tensor_view<const float, 2>, const packed_matrix<float>&, product_start, const float*,
                              tensor_view<float, 2>);
template void multiply_packed(tensor_view<const double, 2>, const packed_matrix<double>&, product_start, const double*,
                              tensor_view<double, 2>);
#endif

}  // namespace optscope::kernel
