// SPDX-License-Identifier: MIT
#pragma once
// Bodies of product.hpp.

#include <cassert>
#include <cstring>
#include <optscope/backend/product.hpp>
#include <optscope/backend/tile.hpp>

namespace optscope::kernel {

namespace detail {

/// `pack_transposed` of a matrix of one stored type.
template <class T, int Bytes, dtype Stored>
[[gnu::always_inline]] inline void pack_stored(const matrix_view<T>& w, const packed_matrix<T>& to, T* memory) {
  constexpr std::size_t height = piece_size<Stored>, width = unpacked_bytes<T, Stored, Bytes> / sizeof(T),
                        vectors = height / width, panel_columns = panel_vectors * (Bytes / sizeof(T));
  T nowhere[width];  // for vectors that the last panel does not have
  for (std::size_t column = 0; column < (to.columns + lanes<T>() - 1) / lanes<T>() * lanes<T>(); column += height) {
    const std::byte* rows[height];
    for (std::size_t i = 0; i < height; ++i) rows[i] = w.row(std::min(column + i, to.columns - 1));
    T* out[vectors];
    std::size_t gap[vectors];
    for (std::size_t v = 0; v < vectors; ++v) {
      const std::size_t first = column + v * width, panel = first / panel_columns * panel_columns;
      const bool there = panel < to.columns && first - panel < to.width(panel);
      out[v] = there ? memory + panel * to.depth + (first - panel) : nowhere;
      gap[v] = there ? to.width(panel) : 0;
    }
    unpack<T, Stored, Bytes>(rows, to.depth, out, gap);
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
packed_matrix<T> pack_transposed(const matrix_view<T>& w, T* memory) {
  const packed_matrix<T> result{memory, w.cols(), w.rows()};
  simd::run_wide([&](auto bytes) __attribute__((always_inline)) {
    detail::for_stored(
        w, [&](auto type) __attribute__((always_inline)) {
          detail::pack_stored<T, decltype(bytes)::value, decltype(type)::value>(w, result, memory);
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

namespace detail {

/// Rows of w that `multiply_stored` takes together, and bytes of each that are transposed at a time.
inline constexpr std::size_t stored_columns = 32, stored_bytes = 128;
/// Bytes of each of them that are fetched ahead, at most: together they leave room in a second-level cache.
inline constexpr std::size_t most_fetched = 8192;

/// Fetches parts of some rows into the second-level cache, row after row, since memory is fastest in order.
class row_fetcher {
 public:
  static constexpr std::size_t line = 64;

  /// The bytes that will be asked for by the next calls: [begin, begin + bytes) of each row.
  void aim_at(const std::byte* const* rows, std::size_t begin, std::size_t bytes) noexcept {
    rows_ = rows;
    begin_ = begin;
    lines_ = (bytes + line - 1) / line;
    row_ = lines_ == 0 ? stored_columns : 0;
    left_ = 0;
  }
  /// False if all have been asked for.
  [[gnu::always_inline]] bool operator()() noexcept {
    if (left_ == 0) {
      if (row_ == stored_columns) return false;
      at_ = rows_[row_++] + begin_;
      left_ = lines_;
    }
    __builtin_prefetch(at_, 0, 2);
    at_ += line;
    --left_;
    return true;
  }

 private:
  const std::byte* const* rows_ = nullptr;
  const std::byte* at_ = nullptr;
  std::size_t begin_ = 0, lines_ = 0, row_ = stored_columns, left_ = 0;
};

/// Where rows [first, first + stored_columns) of w begin; the last one again in place of those that w does not have.
template <class T>
void find_rows(const matrix_view<T>& w, std::size_t first, const std::byte** rows) {
  const std::size_t last = std::min(w.rows() - first, stored_columns) - 1;
  for (std::size_t i = 0; i < stored_columns; ++i) rows[i] = w.row(first + std::min(i, last));
}

/// `multiply_stored` for one stored type. Some rows of w are transposed into the first-level cache, as they are stored,
/// and converted when they are multiplied; meanwhile the second-level cache fetches what comes next.
template <class T, int Bytes, dtype Stored>
[[gnu::always_inline]] inline void multiply_stored_as(tensor_view<const T, 2> x, const matrix_view<T>& w, const T* bias,
                                                      tensor_view<T, 2> y) {
  using element = stored_element<Stored>;
  constexpr std::size_t all = stored_columns, slice = stored_bytes / sizeof(element), piece = piece_size<Stored>,
                        fetches = all * sizeof(element) / row_fetcher::line, width = Bytes / sizeof(T);
  constexpr std::size_t most_sums = Bytes == 64 ? 16 : 8;
  const std::size_t depth = x.cols(), bytes = depth * sizeof(element);
  const std::size_t parts = std::max<std::size_t>(1, (bytes + most_fetched - 1) / most_fetched);  // of equal size
  const std::size_t part = ((bytes + parts - 1) / parts + stored_bytes - 1) / stored_bytes * stored_bytes;
  alignas(64) element columns[slice * all];
  alignas(64) T sums[most_stored_rows * all];
  const std::byte *rows[all], *next[all];
  find_rows(w, 0, next);
  row_fetcher fetcher;
  fetcher.aim_at(next, 0, std::min(part, bytes));
  while (fetcher()) {
  }
  for (std::size_t first = 0; first < w.rows(); first += all) {
    const std::size_t count = std::min(all, w.rows() - first);
    const bool more = first + all < w.rows();
    std::copy_n(next, all, rows);
    if (more) find_rows(w, first + all, next);
    for (std::size_t i = 0; i < x.rows(); ++i) {
      std::fill_n(sums + i * all, all, T{0});
      if (bias != nullptr) std::copy_n(bias + first, count, sums + i * all);
    }
    for (std::size_t k = 0; k < depth; k += slice) {
      const std::size_t here = std::min(slice, depth - k), at = k * sizeof(element);
      if (at % part == 0) {
        const bool last = at + part >= bytes;
        if (!last) fetcher.aim_at(rows, at + part, std::min(part, bytes - at - part));
        if (last && more) fetcher.aim_at(next, 0, std::min(part, bytes));
      }
      for (std::size_t row = 0; row < all; row += piece) {
        const std::byte* from[piece];
        for (std::size_t i = 0; i < piece; ++i) from[i] = rows[row + i] + at;
        for_pieces<Stored, Bytes>(
            from, here, [&](std::size_t column, const piece_of<Stored>& values) __attribute__((always_inline)) {
              std::memcpy(columns + column * all + row, &values, sizeof values);
            });
      }
      const auto fetch = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 4
        for (std::size_t i = 0; i < fetches; ++i) fetcher();
      };
      std::size_t row = 0;
      const auto some_rows = [&]<int Rows>(std::integral_constant<int, Rows>) __attribute__((always_inline)) {
        constexpr int vectors = static_cast<int>(std::min(all / width, most_sums / Rows));
        for (; row + Rows <= x.rows(); row += Rows) {
          for (std::size_t column = 0; column < all; column += vectors * width) {
            const auto multiply = [&](auto each) __attribute__((always_inline)) {
              multiply_columns<T, Stored, Bytes, Rows, vectors, all>(x.row(row).data() + k, x.stride(), here,
                                                                     columns + column, sums + row * all + column, each);
            };
            if (row == 0 && column == 0) {
              multiply(fetch);
            } else {
              multiply([] {});
            }
          }
        }
      };
      if constexpr (Bytes == 64) some_rows(std::integral_constant<int, 8>{});
      some_rows(std::integral_constant<int, 4>{});
      some_rows(std::integral_constant<int, 2>{});
      some_rows(std::integral_constant<int, 1>{});
    }
    for (std::size_t i = 0; i < x.rows(); ++i) std::copy_n(sums + i * all, count, y.row(i).data() + first);
  }
}

}  // namespace detail

template <class T>
void multiply_stored(tensor_view<const T, 2> x, const matrix_view<T>& w, const T* bias, tensor_view<T, 2> y) {
  assert(x.rows() <= most_stored_rows);
  if (w.rows() == 0) return;
  simd::run_wide([&](auto bytes) __attribute__((always_inline)) {
    detail::for_stored(
        w, [&](auto type) __attribute__((always_inline)) {
          detail::multiply_stored_as<T, decltype(bytes)::value, decltype(type)::value>(x, w, bias, y);
        });
  });
}

#ifdef OPTSCOPE_COMPILED
template void multiply_stored(tensor_view<const float, 2>, const matrix_view<float>&, const float*,
                              tensor_view<float, 2>);
template void multiply_stored(tensor_view<const double, 2>, const matrix_view<double>&, const double*,
                              tensor_view<double, 2>);
template packed_matrix<float> pack_transposed(const matrix_view<float>&, float*);
template packed_matrix<double> pack_transposed(const matrix_view<double>&, double*);
template packed_matrix<float> pack(const matrix_view<float>&, float*);
template packed_matrix<double> pack(const matrix_view<double>&, double*);
template void multiply_packed(tensor_view<const float, 2>, const packed_matrix<float>&, product_start, const float*,
                              tensor_view<float, 2>);
template void multiply_packed(tensor_view<const double, 2>, const packed_matrix<double>&, product_start, const double*,
                              tensor_view<double, 2>);
#endif

}  // namespace optscope::kernel
