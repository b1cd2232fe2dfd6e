// SPDX-License-Identifier: MIT
#pragma once
// Bodies of product.hpp.

#include <cassert>
#include <cstdint>
#include <cstring>
#include <optscope/backend/product.hpp>
#include <optscope/backend/tile.hpp>
#include <type_traits>

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
    unpack<T, Stored, Bytes>(rows, to.depth / in_element<Stored> * in_element<Stored>, out, gap);
    for (std::size_t k = to.depth / in_element<Stored> * in_element<Stored>; k < to.depth; ++k) {  // the last of I8
      for (std::size_t i = 0; i < height; ++i) {
        out[i / width][k * gap[i / width] + i % width] = static_cast<T>(static_cast<std::int8_t>(rows[i][k]));
      }
    }
  }
}

/// Calls `body` with the type of a matrix's elements as a constant.
template <class T, class Body>
[[gnu::always_inline]] inline void for_stored(const matrix_view<T>& w, Body&& body) {
  switch (w.type()) {
    case dtype::f16: return body(std::integral_constant<dtype, dtype::f16>{});
    case dtype::bf16: return body(std::integral_constant<dtype, dtype::bf16>{});
    case dtype::f32: return body(std::integral_constant<dtype, dtype::f32>{});
    case dtype::i8: return body(std::integral_constant<dtype, dtype::i8>{});
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
        for (std::size_t i = 0; w.scaled() && i < count; ++i) out[i] *= static_cast<T>(*w.scales(k));
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

/// Memory that is fetched into the second-level cache, line by line.
struct fetched_run {
  const std::byte *at = nullptr, *end = nullptr;
  static constexpr std::size_t line = 64;

  [[gnu::always_inline]] bool fetch() noexcept {  // false: all has been fetched
    if (at >= end) return false;
    __builtin_prefetch(at, 0, 2);
    at += line;
    return true;
  }
  [[nodiscard]] std::size_t lines() const noexcept {
    return at >= end ? 0 : (static_cast<std::size_t>(end - at) + line - 1) / line;
  }
};

/// The rows of a matrix, `stored_columns` at a time, and the parts of them that are fetched ahead, row after row, since
/// memory is fastest in order. Pages are fetched whole: in two goes one takes up to half as long again (Zen 3).
template <class T>
class fetched_rows {
 public:
  /// Fetches the first part.
  explicit fetched_rows(const matrix_view<T>& w) : w_{w}, bytes_{w.row_bytes()} {
    const std::size_t parts = std::max<std::size_t>(1, (bytes_ + most_fetched - 1) / most_fetched);  // of equal size
    part_ = ((bytes_ + parts - 1) / parts + stored_bytes - 1) / stored_bytes * stored_bytes;
    find(0);
    finish(next_part({}));
  }

  /// Goes on to the rows that begin with row `first`; the last row again in place of those that the matrix lacks.
  [[gnu::noinline]] void take(std::size_t first) noexcept {
    std::copy_n(next_, stored_columns, rows_);
    more_ = first + stored_columns < w_.rows();
    if (more_) find(first + stored_columns);
  }
  [[nodiscard]] const std::byte* row(std::size_t i) const noexcept { return rows_[i]; }

  /// What to fetch while byte `at` of the rows and those after it are used, where a part begins with it; `left` is left
  /// of what was to be fetched before.
  [[nodiscard]] bool begins_part(std::size_t at) const noexcept { return at % part_ == 0; }
  [[nodiscard, gnu::noinline]] fetched_run begin_part(std::size_t at, fetched_run left) noexcept {
    if (at + part_ < bytes_) return part_of(rows_, at + part_, left);
    return more_ ? next_part(left) : left;
  }
  /// `left` with at least as much as is to be fetched during one slice of the rows, as far as there is more.
  [[nodiscard, gnu::noinline]] fetched_run refill(fetched_run left) noexcept {
    for (std::size_t wanted = slice_lines; left.lines() < wanted && row_ != stored_columns; left = next_run()) {
      wanted -= left.lines();
      while (left.fetch()) {
      }
    }
    return left;
  }
  static constexpr std::size_t slice_lines = stored_columns * stored_bytes / fetched_run::line;

 private:
  static const std::byte* page_after(const std::byte* at) noexcept {
    constexpr std::uintptr_t page = 4096;
    return at + (page - reinterpret_cast<std::uintptr_t>(at) % page) % page;
  }

  void find(std::size_t first) noexcept {
    const std::size_t stride = w_.stride() * size_of(w_.type()), last = std::min(w_.rows() - first, stored_columns) - 1;
    in_block_ = w_.rows_in_block(first);
    next_[0] = w_.row(first);
    if (in_block_ >= stored_columns) {
      for (std::size_t i = 1; i < stored_columns; ++i) next_[i] = next_[i - 1] + stride;
    } else {
      for (std::size_t i = 1; i < stored_columns; ++i) next_[i] = w_.row(first + std::min(i, last));
    }
  }

  [[nodiscard]] fetched_run next_run() noexcept {
    const std::byte* const row = of_[row_++];
    return {begin_ == 0 ? row : page_after(row + begin_),
            begin_ + part_ < bytes_ ? page_after(row + begin_ + part_) : row + bytes_};
  }
  void finish(fetched_run left) noexcept {
    do {
      while (left.fetch()) {
      }
      left = refill({});
    } while (left.lines() != 0);
  }
  /// The part of each row that begins with byte `begin`.
  fetched_run part_of(const std::byte* const* rows, std::size_t begin, fetched_run left) noexcept {
    finish(left);
    of_ = rows;
    begin_ = begin;
    row_ = 0;
    return next_run();
  }
  /// The first part of the next rows.
  fetched_run next_part(fetched_run left) noexcept {
    if (part_ < bytes_ || w_.stride() != w_.cols() || in_block_ < stored_columns) return part_of(next_, 0, left);
    // All of them, which lie one after the other: from where the last ones ended.
    if (next_[0] != rows_end_) {
      left.at = next_[0];
    } else if (left.lines() == 0) {
      left.at = fetched_end_;
    }
    rows_end_ = next_[0] + stored_columns * bytes_;
    left.end = fetched_end_ = std::min(page_after(rows_end_), next_[0] + in_block_ * bytes_);
    return left;
  }

  const matrix_view<T> w_;
  std::size_t bytes_, part_;  // of a row
  const std::byte *rows_[stored_columns], *next_[stored_columns];
  std::size_t in_block_ = 0;  // rows from the first of `next_` on
  bool more_ = false;
  // What is fetched last: rows that lie one after the other up to `rows_end_`, or a part of each of these rows.
  const std::byte *rows_end_ = nullptr, *fetched_end_ = nullptr;
  const std::byte* const* of_ = nullptr;
  std::size_t begin_ = 0, row_ = stored_columns;
};

/// `multiply_stored` for types whose elements are as large as those of `Like`, which are alike until they are
/// converted. Some rows of w are transposed into the first-level cache, as they are stored, and converted when they are
/// multiplied; meanwhile the second-level cache fetches what comes next.
template <class T, int Bytes, dtype Like>
[[gnu::always_inline]] inline void multiply_stored_as(tensor_view<const T, 2> x, const matrix_view<T>& w, const T* bias,
                                                      tensor_view<T, 2> y) {
  using element = stored_element<Like>;
  constexpr std::size_t all = stored_columns, slice = stored_bytes / sizeof(element), piece = piece_size<Like>,
                        fetches = all * sizeof(element) / fetched_run::line, width = Bytes / sizeof(T);
  constexpr std::size_t most_sums = Bytes == 64 ? 16 : 8;
  const std::size_t depth = w.row_bytes() / sizeof(element);
  alignas(64) element columns[slice * all];
  alignas(64) T sums[most_stored_rows * all];
  fetched_rows<T> rows{w};
  fetched_run ahead;
  for (std::size_t first = 0; first < w.rows(); first += all) {
    const std::size_t count = std::min(all, w.rows() - first);
    rows.take(first);
    for (std::size_t i = 0; i < x.rows(); ++i) {
      std::fill_n(sums + i * all, all, T{0});
      if (bias != nullptr) std::copy_n(bias + first, count, sums + i * all);
    }
    for (std::size_t k = 0; k < depth; k += slice) {
      const std::size_t here = std::min(slice, depth - k), at = k * sizeof(element);
      if (rows.begins_part(at)) ahead = rows.begin_part(at, ahead);
      if (ahead.lines() < rows.slice_lines) ahead = rows.refill(ahead);
      for (std::size_t row = 0; row < all; row += piece) {
        const std::byte* from[piece];
        for (std::size_t i = 0; i < piece; ++i) from[i] = rows.row(row + i) + at;
        for_pieces<Like, Bytes>(
            from, here, [&](std::size_t column, const piece_of<Like>& values) __attribute__((always_inline)) {
              std::memcpy(columns + column * all + row, &values, sizeof values);
            });
      }
      const auto fetch = [&]() __attribute__((always_inline)) {
#pragma GCC unroll 4
        for (std::size_t i = 0; i < fetches; ++i) ahead.fetch();
      };
      std::size_t row = 0;
      const auto some_rows = [&]<int Rows, dtype Stored>(
          std::integral_constant<int, Rows>, std::integral_constant<dtype, Stored>) __attribute__((always_inline)) {
        constexpr int vectors = static_cast<int>(std::min(all / width, most_sums / Rows));
        for (; row + Rows <= x.rows(); row += Rows) {
          for (std::size_t column = 0; column < all; column += vectors * width) {
            const auto multiply = [&](auto each) __attribute__((always_inline)) {
              multiply_columns<T, Stored, Bytes, Rows, vectors, all>(x.row(row).data() + k * in_element<Stored>,
                                                                     x.stride(), here, columns + column,
                                                                     sums + row * all + column, each);
            };
            if (row == 0 && column == 0) {
              multiply(fetch);
            } else {
              multiply([] {});
            }
          }
        }
      };
      const auto all_rows = [&](auto stored) __attribute__((always_inline)) {
        if constexpr (Bytes == 64) some_rows(std::integral_constant<int, 8>{}, stored);
        some_rows(std::integral_constant<int, 4>{}, stored);
        some_rows(std::integral_constant<int, 2>{}, stored);
        some_rows(std::integral_constant<int, 1>{}, stored);
      };
      if constexpr (Like != dtype::f16) {
        all_rows(std::integral_constant<dtype, Like>{});
      } else if (w.type() == dtype::f16) {
        all_rows(std::integral_constant<dtype, dtype::f16>{});
      } else if (w.type() == dtype::bf16) {
        all_rows(std::integral_constant<dtype, dtype::bf16>{});
      } else {
        all_rows(std::integral_constant<dtype, dtype::i8>{});
      }
    }
    for (std::size_t i = 0; i < x.rows(); ++i) std::copy_n(sums + i * all, count, y.row(i).data() + first);
  }
}

}  // namespace detail

template <class T>
void multiply_stored(tensor_view<const T, 2> x, const matrix_view<T>& w, const T* bias, tensor_view<T, 2> y) {
  assert(x.rows() <= most_stored_rows && multiplies_stored(w));
  if (w.rows() == 0) return;
  simd::run_wide([&](auto bytes) __attribute__((always_inline)) {
    constexpr int size = decltype(bytes)::value;
    if constexpr (std::is_same_v<T, double>) {
      detail::multiply_stored_as<T, size, dtype::f64>(x, w, bias, y);
    } else if (w.type() == dtype::f32) {
      detail::multiply_stored_as<T, size, dtype::f32>(x, w, bias, y);
    } else {
      detail::multiply_stored_as<T, size, dtype::f16>(x, w, bias, y);
    }
  });
}

template <class T>
[[gnu::noinline]] void scale_columns(const matrix_view<T>& w, const T* bias, tensor_view<T, 2> y) {
  for (std::size_t first = 0; first < w.rows();) {
    const std::size_t count = w.rows_in_block(first);
    const float* const scales = w.scales(first);
    for (std::size_t i = 0; i < y.rows(); ++i) {
      T* const row = y.row(i).data() + first;
      for (std::size_t j = 0; j < count; ++j) {
        row[j] = row[j] * static_cast<T>(scales[j]) + (bias == nullptr ? T{0} : bias[first + j]);
      }
    }
    first += count;
  }
}

#ifdef OPTSCOPE_COMPILED
template void scale_columns(const matrix_view<float>&, const float*, tensor_view<float, 2>);
template void scale_columns(const matrix_view<double>&, const double*, tensor_view<double, 2>);
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
