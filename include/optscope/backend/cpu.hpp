// SPDX-License-Identifier: MIT
#pragma once
// The default backend: products, LayerNorm, attention on CPU threads, shared out over a pool by columns, rows and
// heads.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <optscope/backend/backend.hpp>
#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/product.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <span>
#include <type_traits>
#include <vector>

namespace optscope {

/// Arithmetic on CPU threads: the basic linear algebra of the forward pass, with kernels of its own. Copies share one
/// pool.
///
/// Bits: the same for any number of threads and any batch on one kind of CPU; AVX-512, AVX2 and neither differ in the
/// last ones.
class cpu {
 public:
  /// `threads` = 0 takes as many as the machine has cores.
  explicit cpu(std::size_t threads = 0)
      : pool_{std::make_shared<thread_pool>(threads)}, scratch_(pool_->size()), scratch_double_(pool_->size()) {}

  [[nodiscard]] thread_pool& pool() const noexcept { return *pool_; }

  template <class T>
  [[nodiscard]] bool row_invariant() const noexcept {
    return true;
  }

  template <class T>
  void linear(tensor_view<const T, 2> x, tensor_view<const T, 2> w, const T* bias, tensor_view<T, 2> y) {
    product(x, w.rows(), bias, y, [&](std::size_t first, std::size_t columns, std::size_t k, std::size_t depth, T* to) {
      return kernel::pack_transposed<T>({w.row(first).data() + k, {columns, depth}, w.stride()}, to);
    });
  }

  /// y (m, n) = x (m, k) w (k, n): back through `linear`, for gradients.
  template <class T>
  void linear_backward(tensor_view<const T, 2> x, tensor_view<const T, 2> w, tensor_view<T, 2> y) {
    const auto pack = [&](std::size_t first, std::size_t columns, std::size_t k, std::size_t depth, T* to) {
      return kernel::pack<T>({w.row(k).data() + first, {depth, columns}, w.stride()}, to);
    };
    product(x, w.cols(), static_cast<const T*>(nullptr), y, pack);
  }

  template <class T>
  void layer_norm(tensor_view<const T, 2> x, const T* gamma, const T* beta, tensor_view<T, 2> y) {
    const auto row_norm = [&](std::size_t row) __attribute__((always_inline)) {
      kernel::layer_norm(x.row(row).data(), gamma, beta, x.cols(), y.row(row).data());
    };
    for_rows(x.rows(), row_norm);
  }

  template <class T>
  void activate(activation kind, tensor_view<T, 2> x) {
    const auto row_activation = [&](std::size_t row) __attribute__((always_inline)) {
      kernel::activate(kind, x.row(row).data(), x.cols());
    };
    for_rows(x.rows(), row_activation);
  }

  template <class T>
  void add(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
    const auto row_sum = [&](std::size_t row) __attribute__((always_inline)) {
      kernel::add(x.row(row).data(), x.cols(), y.row(row).data());
    };
    for_rows(x.rows(), row_sum);
  }

  template <class T>
  void attention(std::span<const attention_text<T>> texts, std::size_t heads) {
    std::size_t size = 0;
    for (const attention_text<T>& text : texts) size = std::max(size, attention_size<T>(text, heads));
    reserve_scratch<T>(size);
    const auto queries = [&](std::size_t text) { return texts[text].q.rows(); };
    for_query_blocks(texts.size(), queries, heads, [&](std::size_t number, const query_block& at, std::size_t worker) {
      const attention_text<T>& text = texts[number];
      const std::size_t keys = text.k.rows(), head_dim = text.k.cols() / heads;
      T* memory = scratch_of<T>(worker);
      const auto by_key = kernel::pack_transposed<T>(of_head(text.k, at.head, head_dim), memory);
      memory += kernel::packed_size<T>(keys, head_dim);
      const tensor_view<const T, 2> values = of_head(text.v, at.head, head_dim);
      const bool once = at.count <= kernel::tile_rows() && head_dim % kernel::lanes<T>() == 0;
      const auto by_value = once ? kernel::in_place<T>(values) : kernel::pack<T>(values, memory);
      T *rows = memory + kernel::packed_size<T>(head_dim, keys), *scaled = rows + kernel::tile_rows() * keys;
      for_tiles(at, keys - text.q.rows(), [&](const query_tile& tile) {
        const tensor_view<T, 2> scores{rows, {tile.count, keys}};
        score_tile(of_head(text.q, at.head, head_dim), by_key, tile, scaled, scores);
        softmax_tile(tile, scores);
        mix_tile<T>(scores, by_value, tile, of_head(text.z, at.head, head_dim));
      });
    });
  }

  /// scores (heads, m, t): q·k / sqrt(head_dim), minus infinity for later keys.
  template <class T>
  void attention_scores(tensor_view<const T, 2> q, tensor_view<const T, 2> k, tensor_view<T, 3> scores) {
    const std::size_t keys = k.rows(), heads = scores.rows(), head_dim = k.cols() / heads;
    const std::size_t packed_k = kernel::packed_size<T>(keys, head_dim);
    reserve_scratch<T>(packed_k + kernel::tile_rows() * head_dim);
    for_query_blocks(q.rows(), heads, [&](const query_block& at, std::size_t worker) {
      T* memory = scratch_of<T>(worker);
      const auto by_key = kernel::pack_transposed<T>(of_head(k, at.head, head_dim), memory);
      for_tiles(at, keys - q.rows(), [&](const query_tile& tile) {
        const tensor_view<T, 2> rows = tile_of(scores, at.head, tile);
        score_tile(of_head(q, at.head, head_dim), by_key, tile, memory + packed_k, rows);
        for (std::size_t i = 0; i < tile.count; ++i) {
          std::fill(rows.row(i).begin() + tile.position + i + 1, rows.row(i).end(),
                    -std::numeric_limits<T>::infinity());
        }
      });
    });
  }

  /// scores (heads, m, t) to pattern, in place.
  template <class T>
  void attention_softmax(tensor_view<T, 3> scores) {
    const std::size_t queries = scores.extent(1), keys = scores.extent(2);
    for_query_blocks(queries, scores.rows(), [&](const query_block& at, std::size_t) {
      for_tiles(at, keys - queries,
                [&](const query_tile& tile) { softmax_tile(tile, tile_of(scores, at.head, tile)); });
    });
  }

  /// z (m, hidden) = pattern (heads, m, t) times v (t, hidden), head by head.
  template <class T>
  void attention_mix(tensor_view<const T, 3> pattern, tensor_view<const T, 2> v, tensor_view<T, 2> z) {
    const std::size_t keys = v.rows(), heads = pattern.rows(), head_dim = v.cols() / heads;
    const std::size_t packed_v = kernel::packed_size<T>(head_dim, keys);
    reserve_scratch<T>(packed_v);
    for_query_blocks(z.rows(), heads, [&](const query_block& at, std::size_t worker) {
      T* memory = scratch_of<T>(worker);
      const auto by_value = kernel::pack<T>(of_head(v, at.head, head_dim), memory);
      for_tiles(at, keys - z.rows(), [&](const query_tile& tile) {
        mix_tile<T>(tile_of(pattern, at.head, tile), by_value, tile, of_head(z, at.head, head_dim));
      });
    });
  }

 private:
  // A slice of the weights, 768 bytes of columns 768 deep, takes 576 kB in float: it stays in a second-level cache
  // while the rows pass.
  static constexpr std::size_t slice_bytes = 768, deepest = 768;
  static constexpr std::size_t row_block = 256;      // fewer rows a task do not pay for packing
  static constexpr std::size_t least_queries = 512;  // likewise queries

  struct query_block {
    std::size_t head, first, count;  // queries [first, first + count)
  };

  struct query_tile {
    std::size_t first, count;  // queries [first, first + count)
    std::size_t position;      // of the first query
    std::size_t keys;          // visible to the last query
  };

  static std::size_t blocks(std::size_t count, std::size_t size) { return (count + size - 1) / size; }

  template <class T>
  static tensor_view<T, 2> of_head(tensor_view<T, 2> rows, std::size_t head, std::size_t head_dim) {
    return {rows.data() + head * head_dim, {rows.rows(), head_dim}, rows.stride()};
  }
  template <class T>
  static tensor_view<T, 2> tile_of(tensor_view<T, 3> square, std::size_t head, const query_tile& at) {
    const std::size_t keys = square.extent(2);
    return {square.row(head).data() + at.first * keys, {at.count, keys}};
  }

  /// y (m, n) = bias + x (m, k) times what `pack(first column, columns, first row, rows, memory)` packs. Each task
  /// packs some columns into its core's second-level cache and passes all rows of x along them.
  template <class T, class Pack>
  void product(tensor_view<const T, 2> x, std::size_t n, const T* bias, tensor_view<T, 2> y, Pack pack) {
    const std::size_t width = kernel::panel_width<T>(), wanted = 2 * pool_->size();  // tasks
    const std::size_t panels = blocks(n, width);
    const std::size_t columns = width * std::clamp<std::size_t>(panels / wanted, 1, slice_bytes / (width * sizeof(T)));
    const std::size_t slices = blocks(n, columns);
    const std::size_t parts = std::clamp<std::size_t>(wanted / slices, 1, blocks(x.rows(), row_block));
    const std::size_t rows = blocks(blocks(x.rows(), parts), 8) * 8;
    reserve_scratch<T>(kernel::packed_size<T>(columns, std::min(x.cols(), deepest)));
    pool_->parallel_for(slices * parts, [&](std::size_t task, std::size_t worker) {
      const std::size_t first = task / parts * columns, count = std::min(columns, n - first);
      const std::size_t row = std::min(x.rows(), task % parts * rows), m = std::min(rows, x.rows() - row);
      if (m == 0) return;
      T* memory = scratch_of<T>(worker);
      for (std::size_t k = 0; k < x.cols(); k += deepest) {
        const std::size_t depth = std::min(deepest, x.cols() - k);
        const kernel::packed_matrix<T> slice = pack(first, count, k, depth, memory);
        kernel::multiply_packed<T>({x.row(row).data() + k, {m, depth}, x.stride()}, slice,
                                   k != 0            ? kernel::product_start::y
                                   : bias != nullptr ? kernel::product_start::bias
                                                     : kernel::product_start::zero,
                                   bias == nullptr ? nullptr : bias + first,
                                   {y.row(row).data() + first, {m, count}, y.stride()});
      }
    });
  }

  /// Elements of scratch for a head of a text.
  template <class T>
  static std::size_t attention_size(const attention_text<T>& text, std::size_t heads) {
    const std::size_t keys = text.k.rows(), head_dim = text.k.cols() / heads;
    return kernel::packed_size<T>(keys, head_dim) + kernel::packed_size<T>(head_dim, keys) +
           kernel::tile_rows() * (keys + head_dim);
  }

  template <class Body>
  void for_rows(std::size_t rows, Body body) {
    constexpr std::size_t size = 64;
    pool_->parallel_for(blocks(rows, size), [&](std::size_t block, std::size_t) {
      const std::size_t last = std::min(rows, (block + 1) * size);
      simd::run([&]() __attribute__((always_inline)) {
        for (std::size_t row = block * size; row < last; ++row) body(row);
      });
    });
  }

  /// Calls `body(text, block, worker)` for blocks of the `queries(text)` of all heads of all texts, on the pool's
  /// threads.
  template <class Queries, class Body>
  void for_query_blocks(std::size_t texts, Queries queries, std::size_t heads, Body body) {
    const std::size_t most = std::max<std::size_t>(1, 2 * pool_->size() / (heads * texts));  // of a text
    pool_->parallel_for(most * texts * heads, [&](std::size_t task, std::size_t worker) {
      const std::size_t text = task / heads % texts, part = task / heads / texts, count = queries(text);
      const std::size_t parts = std::clamp<std::size_t>(most, 1, blocks(count, least_queries));
      if (part >= parts) return;
      const std::size_t size = blocks(blocks(count, parts), kernel::tile_rows()) * kernel::tile_rows();
      const std::size_t first = (parts - 1 - part) * size;  // the longest rows first
      if (first < count) body(text, query_block{task % heads, first, std::min(size, count - first)}, worker);
    });
  }
  /// The same for one text: `body(block, worker)`.
  template <class Body>
  void for_query_blocks(std::size_t queries, std::size_t heads, Body body) {
    for_query_blocks(
        1, [&](std::size_t) { return queries; }, heads,
        [&](std::size_t, const query_block& at, std::size_t worker) { body(at, worker); });
  }

  /// Calls `body` for the tiles of a block, `cached` keys being before the first query of all.
  template <class Body>
  static void for_tiles(const query_block& at, std::size_t cached, Body body) {
    for (std::size_t first = at.first, end = at.first + at.count; first < end;) {
      const std::size_t size = std::min(kernel::tile_rows(), end - first), position = cached + first;
      body(query_tile{first, size, position, position + size});
      first += size;
    }
  }

  /// The scores of a tile's queries with the keys that its last query sees. `scaled`: memory for the tile's queries.
  template <class T>
  static void score_tile(tensor_view<const T, 2> q, const kernel::packed_matrix<T>& by_key, const query_tile& at,
                         T* scaled, tensor_view<T, 2> scores) {
    const T scale = T{1} / std::sqrt(static_cast<T>(q.cols()));
    for (std::size_t i = 0; i < at.count; ++i) {
      const T* row = q.row(at.first + i).data();
      for (std::size_t d = 0; d < q.cols(); ++d) scaled[i * q.cols() + d] = row[d] * scale;
    }
    kernel::multiply_packed<T>({scaled, {at.count, q.cols()}}, by_key, kernel::product_start::zero, nullptr,
                               {scores.data(), {at.count, at.keys}, scores.stride()});
  }

  /// One function for all callers, so that they get the same bits.
  template <class T>
  [[gnu::noinline]] static void softmax_tile(const query_tile& at, tensor_view<T, 2> rows) {
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
  static void mix_tile(tensor_view<const T, 2> pattern, const kernel::packed_matrix<T>& by_value, const query_tile& at,
                       tensor_view<T, 2> z) {
    kernel::multiply_packed<T>({pattern.data(), {at.count, at.keys}, pattern.stride()}, by_value,
                               kernel::product_start::zero, nullptr, z.slice(at.first, at.count));
  }

  template <class T>
  std::vector<std::vector<T>>& scratch() {
    if constexpr (std::is_same_v<T, float>) {
      return scratch_;
    } else {
      return scratch_double_;
    }
  }
  /// Makes `scratch_of` of every worker large enough: whichever gets a task, it does not allocate.
  template <class T>
  void reserve_scratch(std::size_t size) {
    for (std::vector<T>& memory : scratch<T>()) memory.resize(std::max(memory.size(), size + 64 / sizeof(T)));
  }
  /// Memory of a worker, at the beginning of a cache line.
  template <class T>
  T* scratch_of(std::size_t worker) {
    constexpr std::size_t line = 64 / sizeof(T);
    T* memory = scratch<T>()[worker].data();
    return memory + (line - reinterpret_cast<std::uintptr_t>(memory) / sizeof(T) % line) % line;
  }

  std::shared_ptr<thread_pool> pool_;
  std::vector<std::vector<float>> scratch_;  // [worker]
  std::vector<std::vector<double>> scratch_double_;
};

static_assert(backend_for<cpu, float> && backend_for<cpu, double>);

}  // namespace optscope
