// SPDX-License-Identifier: MIT
#pragma once
// Bodies of cpu.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/product.hpp>
#include <optscope/core/simd.hpp>

namespace optscope {
namespace detail {

// A slice of the weights is 768 bytes of columns wide and 768 elements deep, 576 kB in float: it stays in a
// second-level cache while the rows are multiplied by it.
inline constexpr std::size_t slice_bytes = 768, deepest = 768;
inline constexpr std::size_t few_columns = 32;     // a task of few rows takes a multiple of these
inline constexpr std::size_t row_block = 256;      // rows of a task; with fewer, packing costs more than it saves
inline constexpr std::size_t least_queries = 512;  // queries of a task, likewise

struct query_block {
  std::size_t head, first, count;  // queries [first, first + count)
};

struct query_tile {
  std::size_t first, count;  // queries [first, first + count)
  std::size_t position;      // of the first query
  std::size_t keys;          // visible to the last query
};

inline std::size_t blocks(std::size_t count, std::size_t size) { return (count + size - 1) / size; }

template <class T>
tensor_view<T, 2> of_head(tensor_view<T, 2> rows, std::size_t head, std::size_t head_dim) {
  return {rows.data() + head * head_dim, {rows.rows(), head_dim}, rows.stride()};
}
template <class T>
tensor_view<T, 2> tile_of(tensor_view<T, 3> square, std::size_t head, const query_tile& at) {
  const std::size_t keys = square.extent(2);
  return {square.row(head).data() + at.first * keys, {at.count, keys}};
}

/// y (m, n) = bias + x (m, k) wᵀ, w (n, k), for few rows of x: each task multiplies by some rows of w as they lie.
template <class T>
void product_of_few(thread_pool& pool, tensor_view<const T, 2> x, const matrix_view<T>& w, const T* bias,
                    tensor_view<T, 2> y) {
  const std::size_t tasks = 4 * pool.size();
  const std::size_t columns = few_columns * std::clamp<std::size_t>(w.rows() / (few_columns * tasks), 1, 16);
  pool.parallel_for(blocks(w.rows(), columns), [&](std::size_t task, std::size_t) {
    const std::size_t first = task * columns, count = std::min(columns, w.rows() - first);
    const matrix_view<T> some = w.slice(first, count);
    const tensor_view<T, 2> part{y.data() + first, {x.rows(), count}, y.stride()};
    const T* const some_bias = bias == nullptr ? nullptr : bias + first;
    kernel::multiply_stored<T>(x, some, w.scaled() ? nullptr : some_bias, part);
    if (w.scaled()) kernel::scale_columns<T>(some, some_bias, part);
  });
}

/// y (m, n) = bias + x (m, k) w, w (k, n) or, if `transposed`, (n, k). Each task packs some columns into its core's
/// cache and passes rows of x along them.
template <class T>
void product(thread_pool& pool, worker_memory& scratch, tensor_view<const T, 2> x, const matrix_view<T>& w,
             bool transposed, const T* bias, tensor_view<T, 2> y) {
  const std::size_t n = transposed ? w.rows() : w.cols();
  if (x.rows() == 0 || n == 0) return;
  if (transposed && x.rows() <= kernel::most_stored_rows && kernel::multiplies_stored(w)) {
    return product_of_few<T>(pool, x, w, bias, y);
  }
  const bool scaled = transposed && w.scaled();  // at the end, so that bits are those of few rows
  const std::size_t wanted = 2 * pool.size();    // tasks
  const std::size_t panel = kernel::panel_width<T>();
  const std::size_t columns =
      panel * std::clamp<std::size_t>(blocks(n, panel) / wanted, 1, slice_bytes / (panel * sizeof(T)));
  const std::size_t slices = blocks(n, columns);
  const std::size_t parts = std::clamp<std::size_t>(wanted / slices, 1, blocks(x.rows(), row_block));
  const std::size_t rows = blocks(blocks(x.rows(), parts), 8) * 8;
  scratch.reserve<T>(kernel::packed_size<T>(columns, std::min(x.cols(), deepest)));
  pool.parallel_for(slices * parts, [&](std::size_t task, std::size_t worker) {
    const std::size_t first = task / parts * columns, count = std::min(columns, n - first);
    const std::size_t row = std::min(x.rows(), task % parts * rows), m = std::min(rows, x.rows() - row);
    if (m == 0) return;
    T* memory = scratch.of<T>(worker);
    const T* const part_bias = bias == nullptr ? nullptr : bias + first;
    const tensor_view<T, 2> part{y.row(row).data() + first, {m, count}, y.stride()};
    std::size_t k = 0;
    do {  // once for x without columns, too
      const std::size_t depth = std::min(deepest, x.cols() - k);
      const kernel::packed_matrix<T> packed =
          transposed ? kernel::pack_transposed<T>(w.slice(first, count).columns(k, depth), memory)
                     : kernel::pack<T>(w.slice(k, depth).columns(first, count), memory);
      kernel::multiply_packed<T>({x.row(row).data() + k, {m, depth}, x.stride()}, packed,
                                 k != 0                       ? kernel::product_start::y
                                 : bias != nullptr && !scaled ? kernel::product_start::bias
                                                              : kernel::product_start::zero,
                                 part_bias, part);
      k += depth;
    } while (k < x.cols());
    if (scaled) kernel::scale_columns<T>(w.slice(first, count), part_bias, part);
  });
}

/// Elements of scratch memory that one head of a text takes.
template <class T>
std::size_t attention_size(const attention_text<T>& text, std::size_t heads) {
  const std::size_t keys = text.k.rows(), head_dim = text.k.cols() / heads;
  return kernel::packed_size<T>(keys, head_dim) + kernel::packed_size<T>(head_dim, keys) +
         kernel::tile_rows() * (keys + head_dim);
}

/// Calls `body(first, last)` for blocks of rows.
template <class Body>
void for_row_blocks(thread_pool& pool, std::size_t rows, Body body) {
  constexpr std::size_t size = 64;
  pool.parallel_for(blocks(rows, size),
                    [&](std::size_t block, std::size_t) { body(block * size, std::min(rows, (block + 1) * size)); });
}

/// Calls `body(text, block, worker)` for blocks of the `queries(text)` of all heads of all texts, on the pool's
/// threads.
template <class Queries, class Body>
void for_query_blocks(thread_pool& pool, std::size_t texts, Queries queries, std::size_t heads, Body body) {
  const std::size_t most = std::max<std::size_t>(1, 2 * pool.size() / (heads * texts));  // of a text
  pool.parallel_for(most * texts * heads, [&](std::size_t task, std::size_t worker) {
    const std::size_t text = task / heads % texts, part = task / heads / texts, count = queries(text);
    const std::size_t parts = std::clamp<std::size_t>(blocks(count, least_queries), 1, most);
    if (part >= parts) return;
    const std::size_t size = blocks(blocks(count, parts), kernel::tile_rows()) * kernel::tile_rows();
    const std::size_t first = (parts - 1 - part) * size;  // the longest rows first
    if (first < count) body(text, query_block{task % heads, first, std::min(size, count - first)}, worker);
  });
}
/// The same for one text; calls `body(block, worker)`.
template <class Body>
void for_query_blocks(thread_pool& pool, std::size_t queries, std::size_t heads, Body body) {
  for_query_blocks(
      pool, 1, [&](std::size_t) { return queries; }, heads,
      [&](std::size_t, const query_block& at, std::size_t worker) { body(at, worker); });
}

/// Calls `body` for the tiles of a block; `cached` keys come before the text's first query.
template <class Body>
void for_tiles(const query_block& at, std::size_t cached, Body body) {
  for (std::size_t first = at.first, end = at.first + at.count; first < end;) {
    const std::size_t size = std::min(kernel::tile_rows(), end - first), position = cached + first;
    body(query_tile{first, size, position, position + size});
    first += size;
  }
}

/// The scores of a tile's queries with the keys that its last query sees. `scaled`: memory for the tile's queries.
template <class T>
void score_tile(tensor_view<const T, 2> q, const kernel::packed_matrix<T>& by_key, const query_tile& at, T* scaled,
                tensor_view<T, 2> scores) {
  const T scale = T{1} / std::sqrt(static_cast<T>(q.cols()));
  for (std::size_t i = 0; i < at.count; ++i) {
    const T* row = q.row(at.first + i).data();
    for (std::size_t d = 0; d < q.cols(); ++d) scaled[i * q.cols() + d] = row[d] * scale;
  }
  kernel::multiply_packed<T>({scaled, {at.count, q.cols()}}, by_key, kernel::product_start::zero, nullptr,
                             {scores.data(), {at.count, at.keys}, scores.stride()});
}

/// Not inlined, so that all callers get the same bits.
template <class T>
[[gnu::noinline]] void softmax_tile(const query_tile& at, tensor_view<T, 2> rows) {
  simd::run([&]() __attribute__((always_inline)) {
    for (std::size_t i = 0; i < at.count; ++i) {
      const std::size_t visible = at.position + i + 1;
      T* row = rows.data() + i * rows.stride();
      kernel::softmax(row, visible);
      std::fill(row + visible, row + rows.extent(1), T{0});
    }
  });
}

template <class T>
void mix_tile(tensor_view<const T, 2> pattern, const kernel::packed_matrix<T>& by_value, const query_tile& at,
              tensor_view<T, 2> z) {
  kernel::multiply_packed<T>({pattern.data(), {at.count, at.keys}, pattern.stride()}, by_value,
                             kernel::product_start::zero, nullptr, z.slice(at.first, at.count));
}

}  // namespace detail

OPTSCOPE_INLINE cpu::cpu(std::size_t threads)
    : pool_{std::make_shared<thread_pool>(threads)}, scratch_{pool_->size()} {}

template <class T>
void cpu::linear(tensor_view<const T, 2> x, const std::type_identity_t<matrix_view<T>>& w, const T* bias,
                 tensor_view<T, 2> y) {
  detail::product<T>(*pool_, scratch_, x, w, true, bias, y);
}

template <class T>
void cpu::linear_backward(tensor_view<const T, 2> x, const std::type_identity_t<matrix_view<T>>& w,
                          tensor_view<T, 2> y) {
  detail::product<T>(*pool_, scratch_, x, w, false, nullptr, y);
}

template <class T>
void cpu::layer_norm(tensor_view<const T, 2> x, const T* gamma, const T* beta, tensor_view<T, 2> y) {
  detail::for_row_blocks(*pool_, x.rows(), [&](std::size_t first, std::size_t last) {
    simd::run([&]() __attribute__((always_inline)) {
      for (std::size_t row = first; row < last; ++row) {
        kernel::layer_norm(x.row(row).data(), gamma, beta, x.cols(), y.row(row).data());
      }
    });
  });
}

template <class T>
void cpu::activate(activation kind, tensor_view<T, 2> x) {
  detail::for_row_blocks(*pool_, x.rows(), [&](std::size_t first, std::size_t last) {
    if (kind == activation::relu) {
      simd::run([&]() __attribute__((always_inline)) {
        for (std::size_t row = first; row < last; ++row) kernel::relu(x.row(row).data(), x.cols());
      });
    } else {  // calls of the standard library, one element at a time
      simd::run_narrow([&]() __attribute__((always_inline)) {
        for (std::size_t row = first; row < last; ++row) kernel::activate(kind, x.row(row).data(), x.cols());
      });
    }
  });
}

template <class T>
void cpu::add(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
  detail::for_row_blocks(*pool_, x.rows(), [&](std::size_t first, std::size_t last) {  // as fast as memory
    for (std::size_t row = first; row < last; ++row) kernel::add(x.row(row).data(), x.cols(), y.row(row).data());
  });
}

template <class T>
void cpu::attention(std::span<const attention_text<T>> texts, std::size_t heads) {
  if (texts.empty() || heads == 0) return;
  std::size_t size = 0;
  for (const attention_text<T>& text : texts) size = std::max(size, detail::attention_size<T>(text, heads));
  scratch_.reserve<T>(size);
  const auto queries = [&](std::size_t text) { return texts[text].q.rows(); };
  const auto attend = [&](std::size_t number, const detail::query_block& at, std::size_t worker) {
    const attention_text<T>& text = texts[number];
    const std::size_t keys = text.k.rows(), head_dim = text.k.cols() / heads;
    T* memory = scratch_.of<T>(worker);
    const auto by_key = kernel::pack_transposed<T>(detail::of_head(text.k, at.head, head_dim), memory);
    memory += kernel::packed_size<T>(keys, head_dim);
    const tensor_view<const T, 2> values = detail::of_head(text.v, at.head, head_dim);
    const bool once = at.count <= kernel::tile_rows() && head_dim % kernel::lanes<T>() == 0;
    const auto by_value = once ? kernel::in_place<T>(values) : kernel::pack<T>(values, memory);
    T *rows = memory + kernel::packed_size<T>(head_dim, keys), *scaled = rows + kernel::tile_rows() * keys;
    detail::for_tiles(at, keys - text.q.rows(), [&](const detail::query_tile& tile) {
      const tensor_view<T, 2> scores{rows, {tile.count, keys}};
      detail::score_tile(detail::of_head(text.q, at.head, head_dim), by_key, tile, scaled, scores);
      detail::softmax_tile(tile, scores);
      detail::mix_tile<T>(scores, by_value, tile, detail::of_head(text.z, at.head, head_dim));
    });
  };
  detail::for_query_blocks(*pool_, texts.size(), queries, heads, attend);
}

template <class T>
void cpu::attention_scores(tensor_view<const T, 2> q, tensor_view<const T, 2> k, tensor_view<T, 3> scores) {
  if (scores.rows() == 0) return;
  const std::size_t keys = k.rows(), heads = scores.rows(), head_dim = k.cols() / heads;
  const std::size_t packed_k = kernel::packed_size<T>(keys, head_dim);
  scratch_.reserve<T>(packed_k + kernel::tile_rows() * head_dim);
  detail::for_query_blocks(*pool_, q.rows(), heads, [&](const detail::query_block& at, std::size_t worker) {
    T* memory = scratch_.of<T>(worker);
    const auto by_key = kernel::pack_transposed<T>(detail::of_head(k, at.head, head_dim), memory);
    detail::for_tiles(at, keys - q.rows(), [&](const detail::query_tile& tile) {
      const tensor_view<T, 2> rows = detail::tile_of(scores, at.head, tile);
      detail::score_tile(detail::of_head(q, at.head, head_dim), by_key, tile, memory + packed_k, rows);
      for (std::size_t i = 0; i < tile.count; ++i) {
        std::fill(rows.row(i).begin() + tile.position + i + 1, rows.row(i).end(), -std::numeric_limits<T>::infinity());
      }
    });
  });
}

template <class T>
void cpu::attention_softmax(tensor_view<T, 3> scores) {
  if (scores.rows() == 0) return;
  const std::size_t queries = scores.extent(1), keys = scores.extent(2);
  detail::for_query_blocks(*pool_, queries, scores.rows(), [&](const detail::query_block& at, std::size_t) {
    detail::for_tiles(at, keys - queries, [&](const detail::query_tile& tile) {
      detail::softmax_tile(tile, detail::tile_of(scores, at.head, tile));
    });
  });
}

template <class T>
void cpu::attention_mix(tensor_view<const T, 3> pattern, tensor_view<const T, 2> v, tensor_view<T, 2> z) {
  if (pattern.rows() == 0) return;
  const std::size_t keys = v.rows(), heads = pattern.rows(), head_dim = v.cols() / heads;
  const std::size_t packed_v = kernel::packed_size<T>(head_dim, keys);
  scratch_.reserve<T>(packed_v);
  detail::for_query_blocks(*pool_, z.rows(), heads, [&](const detail::query_block& at, std::size_t worker) {
    const auto by_value = kernel::pack<T>(detail::of_head(v, at.head, head_dim), scratch_.of<T>(worker));
    detail::for_tiles(at, keys - z.rows(), [&](const detail::query_tile& tile) {
      detail::mix_tile<T>(detail::tile_of(pattern, at.head, tile), by_value, tile,
                          detail::of_head(z, at.head, head_dim));
    });
  });
}

#ifdef OPTSCOPE_COMPILED
template void cpu::linear(tensor_view<const float, 2>, const matrix_view<float>&, const float*, tensor_view<float, 2>);
template void cpu::linear(tensor_view<const double, 2>, const matrix_view<double>&, const double*,
                          tensor_view<double, 2>);
template void cpu::linear_backward(tensor_view<const float, 2>, const matrix_view<float>&, tensor_view<float, 2>);
template void cpu::linear_backward(tensor_view<const double, 2>, const matrix_view<double>&, tensor_view<double, 2>);
template void cpu::layer_norm(tensor_view<const float, 2>, const float*, const float*, tensor_view<float, 2>);
template void cpu::layer_norm(tensor_view<const double, 2>, const double*, const double*, tensor_view<double, 2>);
template void cpu::activate(activation, tensor_view<float, 2>);
template void cpu::activate(activation, tensor_view<double, 2>);
template void cpu::add(tensor_view<const float, 2>, tensor_view<float, 2>);
template void cpu::add(tensor_view<const double, 2>, tensor_view<double, 2>);
template void cpu::attention(std::span<const attention_text<float>>, std::size_t);
template void cpu::attention(std::span<const attention_text<double>>, std::size_t);
template void cpu::attention_scores(tensor_view<const float, 2>, tensor_view<const float, 2>, tensor_view<float, 3>);
template void cpu::attention_scores(tensor_view<const double, 2>, tensor_view<const double, 2>, tensor_view<double, 3>);
template void cpu::attention_softmax(tensor_view<float, 3>);
template void cpu::attention_softmax(tensor_view<double, 3>);
template void cpu::attention_mix(tensor_view<const float, 3>, tensor_view<const float, 2>, tensor_view<float, 2>);
template void cpu::attention_mix(tensor_view<const double, 3>, tensor_view<const double, 2>, tensor_view<double, 2>);
#endif

}  // namespace optscope
