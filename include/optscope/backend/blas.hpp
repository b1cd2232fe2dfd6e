// SPDX-License-Identifier: MIT
#pragma once
// The default backend: CBLAS products on one thread each, shared out over a pool by rows, columns and heads.

#include <cblas.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <optscope/backend/backend.hpp>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <vector>

namespace optscope {

/// Arithmetic on CPU threads with CBLAS. Copies share one pool.
///
/// Bits: the same for any number of threads and any batch. OpenBLAS's AVX-512 kernels give a row the same bits in any
/// product; with its other kernels the work is cut by sizes alone, and each text is computed by itself.
class blas {
 public:
  /// `threads` = 0 takes as many as the machine has cores.
  explicit blas(std::size_t threads = 0)
      : pool_{std::make_shared<thread_pool>(threads)},
        rows_are_independent_{openblas::level_of(openblas::use_best_kernels()) == cpu::level::avx512},
        scratch_(pool_->size()) {}

  [[nodiscard]] thread_pool& pool() const noexcept { return *pool_; }

  template <class T>
  [[nodiscard]] bool row_invariant() const noexcept {
    return std::is_same_v<T, float> && rows_are_independent_;
  }

  template <class T>
  void linear(tensor_view<const T, 2> x, tensor_view<const T, 2> w, const T* bias, tensor_view<T, 2> y) {
    const openblas::single_threaded guard;
    if (x.rows() <= few_rows) {  // one pass over the weights: share out their rows
      pool_->parallel_for(blocks(w.rows(), column_block), [&](std::size_t block, std::size_t worker) {
        const std::size_t first = block * column_block, count = std::min(column_block, w.rows() - first);
        product(x, w.slice(first, count), bias == nullptr ? nullptr : bias + first,
                tensor_view<T, 2>{y.data() + first, {y.rows(), count}, y.stride()}, worker);
      });
    } else {
      const std::size_t size = row_invariant<T>() ? blocks(x.rows(), pool_->size()) : row_block;
      pool_->parallel_for(blocks(x.rows(), size), [&](std::size_t block, std::size_t worker) {
        const std::size_t first = block * size, count = std::min(size, x.rows() - first);
        product(x.slice(first, count), w, bias, y.slice(first, count), worker);
      });
    }
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
  void attention(tensor_view<const T, 2> q, tensor_view<const T, 2> k, tensor_view<const T, 2> v, std::size_t heads,
                 tensor_view<T, 2> z) {
    for (auto& buffer : scratch<T>()) buffer.resize(std::max(buffer.size(), query_block * k.rows()));
    for_query_blocks(q.rows(), k.rows(), heads, [&](const block_of_queries& at, std::size_t worker) {
      T* scores = scratch<T>()[worker].data();  // (query, key)
      score_block(q, k, heads, at, scores, at.keys);
      softmax_block(at, scores, at.keys);
      mix_block(scores, at.keys, v, heads, at, z);
    });
  }

  /// scores (heads, m, t): q·k / sqrt(head_dim), minus infinity for later keys.
  template <class T>
  void attention_scores(tensor_view<const T, 2> q, tensor_view<const T, 2> k, tensor_view<T, 3> scores) {
    const std::size_t keys = k.rows();
    for_query_blocks(q.rows(), keys, scores.rows(), [&](const block_of_queries& at, std::size_t) {
      T* rows = scores.row(at.head).data() + at.first * keys;
      score_block(q, k, scores.rows(), at, rows, keys);
      for (std::size_t i = 0; i < at.count; ++i) {
        std::fill(rows + i * keys + at.position + i + 1, rows + (i + 1) * keys, -std::numeric_limits<T>::infinity());
      }
    });
  }

  /// scores (heads, m, t) to pattern, in place.
  template <class T>
  void attention_softmax(tensor_view<T, 3> scores) {
    const std::size_t keys = scores.extent(2);
    for_query_blocks(scores.extent(1), keys, scores.rows(), [&](const block_of_queries& at, std::size_t) {
      softmax_block(at, scores.row(at.head).data() + at.first * keys, keys);
    });
  }

  /// z (m, hidden) = pattern (heads, m, t) times v (t, hidden), head by head.
  template <class T>
  void attention_mix(tensor_view<const T, 3> pattern, tensor_view<const T, 2> v, tensor_view<T, 2> z) {
    const std::size_t keys = v.rows();
    for_query_blocks(z.rows(), keys, pattern.rows(), [&](const block_of_queries& at, std::size_t) {
      mix_block(pattern.row(at.head).data() + at.first * keys, keys, v, pattern.rows(), at, z);
    });
  }

 private:
  static constexpr std::size_t row_block = 256;  // rows a task where they must not depend on the number of threads
  static constexpr std::size_t few_rows = 32;    // up to so many rows the weights are shared out instead
  static constexpr std::size_t column_block = 256;
  static constexpr std::size_t query_block = 128;  // queries a task; keys after the last of them are skipped

  struct block_of_queries {
    std::size_t head, first, count;  // queries [first, first + count)
    std::size_t position;            // of the first query
    std::size_t keys;                // visible to the last query
  };

  static std::size_t blocks(std::size_t count, std::size_t size) { return (count + size - 1) / size; }

  template <class Body>
  void for_rows(std::size_t rows, Body body) {
    constexpr std::size_t size = 64;
    pool_->parallel_for(blocks(rows, size), [&](std::size_t block, std::size_t) {
      const std::size_t last = std::min(rows, (block + 1) * size);
      cpu::run([&]() __attribute__((always_inline)) {
        for (std::size_t row = block * size; row < last; ++row) body(row);
      });
    });
  }

  template <class Body>
  void for_query_blocks(std::size_t queries, std::size_t keys, std::size_t heads, Body body) {
    const openblas::single_threaded guard;
    const std::size_t count = blocks(queries, query_block);
    pool_->parallel_for(count * heads, [&](std::size_t task, std::size_t worker) {
      block_of_queries at;
      at.head = task % heads;
      at.first = (count - 1 - task / heads) * query_block;  // the longest rows first
      at.count = std::min(query_block, queries - at.first);
      at.position = keys - queries + at.first;
      at.keys = at.position + at.count;
      body(at, worker);
    });
  }

  /// One function for all callers, so that they get the same bits.
  template <class T>
  [[gnu::noinline]] static void softmax_block(const block_of_queries& at, T* rows, std::size_t stride) {
    cpu::run([&]() __attribute__((always_inline)) {
      for (std::size_t i = 0; i < at.count; ++i) {
        const std::size_t visible = at.position + i + 1;
        kernel::softmax(rows + i * stride, visible);
        std::fill(rows + i * stride + visible, rows + (i + 1) * stride, T{0});
      }
    });
  }

  template <class T>
  static void score_block(tensor_view<const T, 2> q, tensor_view<const T, 2> k, std::size_t heads,
                          const block_of_queries& at, T* scores, std::size_t stride) {
    const std::size_t head_dim = q.cols() / heads;
    const T scale = T{1} / std::sqrt(static_cast<T>(head_dim));
    gemm(CblasTrans, at.count, at.keys, head_dim, scale, q.row(at.first).data() + at.head * head_dim, q.stride(),
         k.data() + at.head * head_dim, k.stride(), scores, stride);
  }

  template <class T>
  static void mix_block(const T* pattern, std::size_t stride, tensor_view<const T, 2> v, std::size_t heads,
                        const block_of_queries& at, tensor_view<T, 2> z) {
    const std::size_t head_dim = v.cols() / heads;
    gemm(CblasNoTrans, at.count, head_dim, at.keys, T{1}, pattern, stride, v.data() + at.head * head_dim, v.stride(),
         z.row(at.first).data() + at.head * head_dim, z.stride());
  }

  template <class T>
  static void plain_product(tensor_view<const T, 2> x, tensor_view<const T, 2> w, tensor_view<T, 2> y) {
    gemm(CblasTrans, x.rows(), w.rows(), w.cols(), T{1}, x.data(), x.stride(), w.data(), w.stride(), y.data(),
         y.stride());
  }

  /// y = x wᵀ + bias on the calling thread.
  ///
  /// OpenBLAS computes products of up to a million multiplications with other kernels, whose sums differ in the last
  /// bit: rows of zeros lift a small product above that, so that a row has the same bits alone and among others.
  template <class T>
  void product(tensor_view<const T, 2> x, tensor_view<const T, 2> w, const T* bias, tensor_view<T, 2> y,
               std::size_t worker) {
    constexpr std::size_t small_product = 1'000'000;
    const std::size_t enough = std::max<std::size_t>(2, small_product / (w.rows() * w.cols()) + 1);
    if (!row_invariant<T>() || x.rows() >= enough) {
      plain_product(x, w, y);
    } else {
      std::vector<T>& buffer = scratch<T>()[worker];
      buffer.resize(std::max(buffer.size(), enough * (w.cols() + w.rows())));
      const tensor_view<T, 2> lifted{buffer.data(), {enough, w.cols()}};
      const tensor_view<T, 2> products{buffer.data() + lifted.size(), {enough, w.rows()}};
      std::fill_n(lifted.data(), lifted.size(), T{0});
      for (std::size_t row = 0; row < x.rows(); ++row) std::ranges::copy(x.row(row), lifted.row(row).data());
      plain_product<T>(lifted, w, products);
      for (std::size_t row = 0; row < x.rows(); ++row) std::ranges::copy(products.row(row), y.row(row).data());
    }
    if (bias == nullptr) return;
    cpu::run([&]() __attribute__((always_inline)) {
      for (std::size_t row = 0; row < y.rows(); ++row) kernel::add(bias, y.cols(), y.row(row).data());
    });
  }

  // Leading dimensions come from shapes and never from a length-1 axis; CBLAS wants at least the row's length.
  static void gemm(CBLAS_TRANSPOSE transpose_b, std::size_t m, std::size_t n, std::size_t k, float alpha,
                   const float* a, std::size_t lda, const float* b, std::size_t ldb, float* c, std::size_t ldc) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, transpose_b, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k),
                alpha, a, static_cast<int>(lda), b, static_cast<int>(ldb), 0, c, static_cast<int>(ldc));
  }
  static void gemm(CBLAS_TRANSPOSE transpose_b, std::size_t m, std::size_t n, std::size_t k, double alpha,
                   const double* a, std::size_t lda, const double* b, std::size_t ldb, double* c, std::size_t ldc) {
    cblas_dgemm(CblasRowMajor, CblasNoTrans, transpose_b, static_cast<int>(m), static_cast<int>(n), static_cast<int>(k),
                alpha, a, static_cast<int>(lda), b, static_cast<int>(ldb), 0, c, static_cast<int>(ldc));
  }

  template <class T>
  std::vector<std::vector<T>>& scratch() {
    if constexpr (std::is_same_v<T, float>) {
      return scratch_;
    } else {
      if (scratch_double_.empty()) scratch_double_.resize(pool_->size());
      return scratch_double_;
    }
  }

  std::shared_ptr<thread_pool> pool_;
  bool rows_are_independent_;
  std::vector<std::vector<float>> scratch_;
  std::vector<std::vector<double>> scratch_double_;
};

static_assert(backend_for<blas, float> && backend_for<blas, double>);

}  // namespace optscope
