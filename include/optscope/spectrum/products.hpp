// SPDX-License-Identifier: MIT
#pragma once
// Matrix products of views, each on the calling thread, and loops over rows on a pool of threads.

#include <algorithm>
#include <cstddef>
#include <optscope/backend/blas_functions.hpp>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <type_traits>

namespace optscope::product {

namespace detail {
template <class T>
void multiply(blas::transpose of_a, blas::transpose of_b, std::size_t k, tensor_view<const T, 2> a,
              tensor_view<const T, 2> b, tensor_view<T, 2> c, T alpha, T beta) {
  const auto number = [](std::size_t value) { return static_cast<int>(value); };
  const auto leading = [&](const auto& view) { return number(std::max<std::size_t>({1, view.stride(), view.cols()})); };
  blas::gemm(blas::layout::row_major, of_a, of_b, number(c.rows()), number(c.cols()), number(k), alpha, a.data(),
             leading(a), b.data(), leading(b), beta, c.data(), leading(c));
}
}  // namespace detail

template <class T>
using in = tensor_view<const std::type_identity_t<T>, 2>;  // converts from any view; T comes from the result
template <class T>
using factor = std::type_identity_t<T>;

/// c (m, n) = alpha a (m, k) b (k, n) + beta c.
template <class T>
void ab(in<T> a, in<T> b, tensor_view<T, 2> c, factor<T> alpha = 1, factor<T> beta = 0) {
  detail::multiply<T>(blas::transpose::no, blas::transpose::no, a.cols(), a, b, c, alpha, beta);
}
/// c (m, n) = alpha a (m, k) bᵀ (b: n, k) + beta c.
template <class T>
void abt(in<T> a, in<T> b, tensor_view<T, 2> c, factor<T> alpha = 1, factor<T> beta = 0) {
  detail::multiply<T>(blas::transpose::no, blas::transpose::yes, a.cols(), a, b, c, alpha, beta);
}
/// c (m, n) = alpha aᵀ (a: k, m) b (k, n) + beta c.
template <class T>
void atb(in<T> a, in<T> b, tensor_view<T, 2> c, factor<T> alpha = 1, factor<T> beta = 0) {
  detail::multiply<T>(blas::transpose::yes, blas::transpose::no, a.rows(), a, b, c, alpha, beta);
}

/// Columns [first, first + count) of a view, without a copy.
template <class T>
[[nodiscard]] tensor_view<T, 2> columns(tensor_view<T, 2> of, std::size_t first, std::size_t count) {
  return {of.data() + first, {of.rows(), count}, of.stride()};
}

/// Vectors (k, tokens width) seen as rows of tokens: rows [first, first + rows of out) into out (any, width).
template <class T>
void gather(tensor_view<const T, 2> vectors, std::size_t tokens, std::size_t first, tensor_view<T, 2> out) {
  for (std::size_t i = 0; i < out.rows(); ++i) {
    const std::size_t vector = (first + i) / tokens, token = (first + i) % tokens;
    std::copy_n(vectors.row(vector).data() + token * out.cols(), out.cols(), out.row(i).data());
  }
}
/// The reverse: rows of tokens into vectors.
template <class T>
void scatter(in<T> from, std::size_t tokens, std::size_t first, tensor_view<T, 2> vectors) {
  for (std::size_t i = 0; i < from.rows(); ++i) {
    const std::size_t vector = (first + i) / tokens, token = (first + i) % tokens;
    std::copy_n(from.row(i).data(), from.cols(), vectors.row(vector).data() + token * from.cols());
  }
}

/// Rows per task: enough tasks to keep every thread busy, and at most `most_rows`.
inline constexpr std::size_t most_rows = 256;
[[nodiscard]] inline std::size_t rows_a_task(std::size_t rows, const thread_pool& pool) {
  return std::clamp<std::size_t>((rows + pool.size() - 1) / pool.size(), 1, most_rows);
}

/// Calls `body(first, count, worker)` for blocks of rows on all threads; each call of BLAS uses one thread.
template <class Body>
void for_rows(thread_pool& pool, std::size_t rows, Body&& body) {
  const openblas::single_threaded guard;
  const std::size_t size = rows_a_task(rows, pool);
  pool.parallel_for((rows + size - 1) / size, [&](std::size_t block, std::size_t worker) {
    body(block * size, std::min(size, rows - block * size), worker);
  });
}

}  // namespace optscope::product
