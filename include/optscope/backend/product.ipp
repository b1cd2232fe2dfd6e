// SPDX-License-Identifier: MIT
#pragma once
// Bodies of product.hpp.

#include <optscope/backend/product.hpp>
#include <optscope/backend/tile.hpp>

namespace optscope::kernel {

template <class T>
packed_matrix<T> pack_transposed(tensor_view<const T, 2> w, T* memory) {
  const packed_matrix<T> result{memory, w.cols(), w.rows()};
  simd::run_wide([&](auto bytes) __attribute__((always_inline)) {
    constexpr std::size_t n = decltype(bytes)::value / sizeof(T);
    for (std::size_t column = 0; column + n <= result.columns; column += n) {
      const std::size_t panel = column / (panel_vectors * n) * panel_vectors * n;
      detail::transpose<T, decltype(bytes)::value>(w.row(column).data(), w.stride(), result.depth,
                                                   memory + panel * result.depth + (column - panel),
                                                   result.width(panel));
    }
  });
  const std::size_t n = lanes<T>(), column = result.columns / n * n,
                    panel = column / panel_width<T>() * panel_width<T>();
  for (std::size_t i = 0; column < result.columns && i < n; ++i) {  // the last vector, filled up with zeros
    const bool there = column + i < result.columns;
    T* out = memory + panel * result.depth + (column - panel) + i;
    for (std::size_t k = 0; k < result.depth; ++k) out[k * result.width(panel)] = there ? w(column + i, k) : T{0};
  }
  return result;
}

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
  T sums[Rows * widest], begin[Rows * widest];
  for (std::size_t first = 0; first < y.cols(); first += widest) {
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
template packed_matrix<float> pack_transposed(tensor_view<const float, 2>, float*);
template packed_matrix<double> pack_transposed(tensor_view<const double, 2>, double*);
template packed_matrix<float> pack(tensor_view<const float, 2>, float*);
template packed_matrix<double> pack(tensor_view<const double, 2>, double*);
template void multiply_packed(tensor_view<const float, 2>, const packed_matrix<float>&, product_start, const float*,
                              tensor_view<float, 2>);
template void multiply_packed(tensor_view<const double, 2>, const packed_matrix<double>&, product_start, const double*,
                              tensor_view<double, 2>);
#endif

}  // namespace optscope::kernel
