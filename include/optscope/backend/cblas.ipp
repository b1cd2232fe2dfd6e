// SPDX-License-Identifier: MIT
#pragma once
// Bodies of cblas.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optscope/backend/blas_functions.hpp>
#include <optscope/backend/cblas.hpp>
#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/openblas_kernels.hpp>

namespace optscope {
namespace detail::blas_backend {

// Sizes of tasks; fixed, so that bits do not depend on the number of threads.
inline constexpr std::size_t columns_a_task = 192, queries_a_task = 256, rows_a_task = 64;

inline std::size_t tasks(std::size_t count, std::size_t size) { return (count + size - 1) / size; }

template <class T>
int leading(tensor_view<const T, 2> x) {
  return static_cast<int>(std::max<std::size_t>({1, x.stride(), x.cols()}));
}

/// y (m, n) = alpha x (m, k) w + beta y, w (k, n) or, if `transposed`, (n, k), on this thread.
template <class T>
void multiply(T alpha, tensor_view<const T, 2> x, tensor_view<const T, 2> w, bool transposed, T beta,
              tensor_view<T, 2> y) {
  if (y.size() == 0) return;
  if (x.cols() == 0) {  // not every BLAS writes y then
    for (std::size_t row = 0; beta == T{0} && row < y.rows(); ++row) std::ranges::fill(y.row(row), T{0});
    return;
  }
  blas::gemm(blas::layout::row_major, blas::transpose::no, transposed ? blas::transpose::yes : blas::transpose::no,
             static_cast<int>(y.rows()), static_cast<int>(y.cols()), static_cast<int>(x.cols()), alpha, x.data(),
             leading(x), w.data(), leading(w), beta, y.data(), leading<T>(y));
}

/// Columns [first, first + count) of a view.
template <class T>
tensor_view<T, 2> columns(tensor_view<T, 2> of, std::size_t first, std::size_t count) {
  return {of.data() + first, {of.rows(), count}, of.stride()};
}

/// The same product plus a bias, columns shared out over a pool. Weights that are not stored as T are converted by the
/// task that multiplies by them.
template <class T>
void product(thread_pool& pool, worker_memory& scratch, tensor_view<const T, 2> x, const matrix_view<T>& w,
             bool transposed, const T* bias, tensor_view<T, 2> y) {
  if (y.rows() == 0) return;
  const openblas::single_threaded guard;
  scratch.reserve<T>(std::min(columns_a_task, y.cols()) * x.cols());
  pool.parallel_for(tasks(y.cols(), columns_a_task), [&](std::size_t task, std::size_t worker) {
    const std::size_t first = task * columns_a_task, count = std::min(columns_a_task, y.cols() - first);
    const tensor_view<T, 2> part = columns(y, first, count);
    for (std::size_t row = 0; bias != nullptr && row < y.rows(); ++row) {
      std::copy_n(bias + first, count, part.row(row).data());
    }
    const matrix_view<T> stored = transposed ? w.slice(first, count) : w.columns(first, count);
    if (!stored.holds_values()) stored.copy_to(scratch.of<T>(worker));
    multiply<T>(
        1, x, stored.holds_values() ? stored.values() : tensor_view<const T, 2>{scratch.of<T>(worker), stored.shape()},
        transposed, bias == nullptr ? T{0} : T{1}, part);
  });
}

/// Calls `body(row)` for every row on the pool's threads.
template <class Body>
void for_rows(thread_pool& pool, std::size_t rows, Body body) {
  pool.parallel_for(tasks(rows, rows_a_task), [&](std::size_t task, std::size_t) {
    const std::size_t last = std::min(rows, (task + 1) * rows_a_task);
    for (std::size_t row = task * rows_a_task; row < last; ++row) body(row);
  });
}

/// Queries of a head that a task takes: each sees the keys up to its own position, the last one `keys` of them.
struct head_queries {
  std::size_t head, first, count, keys;
};

/// Calls `body(queries, worker)` for all queries of all heads, of which the first sees `cached` keys and its own.
template <class Body>
void for_queries(thread_pool& pool, std::size_t heads, std::size_t queries, std::size_t cached, Body body) {
  const std::size_t parts = tasks(queries, queries_a_task);
  pool.parallel_for(heads * parts, [&](std::size_t task, std::size_t worker) {
    const std::size_t first = (parts - 1 - task / heads) * queries_a_task;  // the longest rows first
    const std::size_t count = std::min(queries_a_task, queries - first);
    body(head_queries{task % heads, first, count, cached + first + count}, worker);
  });
}

/// The scores of some queries with the keys up to the last one's own: (query, key).
template <class T>
void scores_of(const head_queries& at, tensor_view<const T, 2> q, tensor_view<const T, 2> k, std::size_t head_dim,
               tensor_view<T, 2> scores) {
  multiply<T>(T{1} / std::sqrt(static_cast<T>(head_dim)),
              columns(q.slice(at.first, at.count), at.head * head_dim, head_dim),
              columns(k.slice(0, at.keys), at.head * head_dim, head_dim), true, T{0}, columns(scores, 0, at.keys));
}

/// Softmax of what each query sees, zeros for what it does not. `scores` has all keys or those up to the last query's.
template <class T>
void softmax(const head_queries& at, tensor_view<T, 2> scores) {
  for (std::size_t i = 0; i < at.count; ++i) {
    const std::span<T> row = scores.row(i), seen = row.first(at.keys - at.count + i + 1);
    T largest = seen[0], sum = 0;
    for (const T score : seen) largest = std::max(largest, score);
    for (T& score : seen) sum += score = std::exp(score - largest);
    for (T& share : seen) share /= sum;
    std::ranges::fill(row.subspan(seen.size()), T{0});
  }
}

template <class T>
void mix(const head_queries& at, tensor_view<const T, 2> pattern, tensor_view<const T, 2> v, std::size_t head_dim,
         tensor_view<T, 2> z) {
  multiply<T>(1, columns(pattern, 0, at.keys), columns(v.slice(0, at.keys), at.head * head_dim, head_dim), false, T{0},
              columns(z.slice(at.first, at.count), at.head * head_dim, head_dim));
}

/// Rows of some queries in (head, query, key).
template <class T>
tensor_view<T, 2> rows_of(const head_queries& at, tensor_view<T, 3> square) {
  const std::size_t keys = square.extent(2);
  return {square.row(at.head).data() + at.first * keys, {at.count, keys}};
}

}  // namespace detail::blas_backend

OPTSCOPE_INLINE cblas::cblas(std::size_t threads)
    : pool_{std::make_shared<thread_pool>(threads)}, scratch_{pool_->size()} {
  openblas::use_best_kernels();
}

template <class T>
void cblas::linear(tensor_view<const T, 2> x, const std::type_identity_t<matrix_view<T>>& w, const T* bias,
                   tensor_view<T, 2> y) {
  detail::blas_backend::product<T>(*pool_, scratch_, x, w, true, bias, y);
}

template <class T>
void cblas::linear_backward(tensor_view<const T, 2> x, const std::type_identity_t<matrix_view<T>>& w,
                            tensor_view<T, 2> y) {
  detail::blas_backend::product<T>(*pool_, scratch_, x, w, false, nullptr, y);
}

template <class T>
void cblas::layer_norm(tensor_view<const T, 2> x, const T* gamma, const T* beta, tensor_view<T, 2> y) {
  detail::blas_backend::for_rows(*pool_, x.rows(), [&](std::size_t i) {
    const std::span<const T> from = x.row(i);
    const std::span<T> to = y.row(i);
    const auto n = static_cast<double>(x.cols());
    double mean = 0, variance = 0;
    for (const T value : from) mean += static_cast<double>(value) / n;
    for (const T value : from)
      variance += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean) / n;
    const double scale = std::sqrt(variance + 1e-5);
    for (std::size_t j = 0; j < to.size(); ++j) {
      const auto normal = static_cast<T>((static_cast<double>(from[j]) - mean) / scale);
      to[j] = normal * (gamma == nullptr ? T{1} : gamma[j]) + (beta == nullptr ? T{0} : beta[j]);
    }
  });
}

template <class T>
void cblas::activate(activation kind, tensor_view<T, 2> x) {
  detail::blas_backend::for_rows(*pool_, x.rows(),
                                 [&](std::size_t i) { kernel::activate(kind, x.row(i).data(), x.cols()); });
}

template <class T>
void cblas::add(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
  detail::blas_backend::for_rows(*pool_, x.rows(), [&](std::size_t i) {
    for (std::size_t j = 0; j < x.cols(); ++j) y.row(i)[j] += x.row(i)[j];
  });
}

template <class T>
void cblas::attention(std::span<const attention_text<T>> texts, std::size_t heads) {
  namespace steps = detail::blas_backend;
  if (heads == 0) return;
  std::size_t keys = 0;
  for (const attention_text<T>& text : texts) keys = std::max(keys, text.k.rows());
  scratch_.reserve<T>(steps::queries_a_task * keys);
  const openblas::single_threaded guard;
  for (const attention_text<T>& text : texts) {
    const std::size_t queries = text.q.rows(), all = text.k.rows(), head_dim = text.k.cols() / heads;
    const auto attend = [&](const steps::head_queries& at, std::size_t worker) {
      const tensor_view<T, 2> scores{scratch_.of<T>(worker), {at.count, at.keys}, all};
      steps::scores_of(at, text.q, text.k, head_dim, scores);
      steps::softmax(at, scores);
      steps::mix<T>(at, scores, text.v, head_dim, text.z);
    };
    steps::for_queries(*pool_, heads, queries, all - queries, attend);
  }
}

template <class T>
void cblas::attention_scores(tensor_view<const T, 2> q, tensor_view<const T, 2> k, tensor_view<T, 3> scores) {
  namespace steps = detail::blas_backend;
  const std::size_t heads = scores.rows(), cached = k.rows() - q.rows();
  if (heads == 0) return;
  const openblas::single_threaded guard;
  steps::for_queries(*pool_, heads, q.rows(), cached, [&](const steps::head_queries& at, std::size_t) {
    const tensor_view<T, 2> rows = steps::rows_of(at, scores);
    steps::scores_of(at, q, k, k.cols() / heads, rows);
    for (std::size_t i = 0; i < at.count; ++i) {
      std::ranges::fill(rows.row(i).subspan(cached + at.first + i + 1), -std::numeric_limits<T>::infinity());
    }
  });
}

template <class T>
void cblas::attention_softmax(tensor_view<T, 3> scores) {
  namespace steps = detail::blas_backend;
  const std::size_t queries = scores.extent(1), keys = scores.extent(2);
  steps::for_queries(*pool_, scores.rows(), queries, keys - queries, [&](const steps::head_queries& at, std::size_t) {
    steps::softmax(at, steps::rows_of(at, scores));
  });
}

template <class T>
void cblas::attention_mix(tensor_view<const T, 3> pattern, tensor_view<const T, 2> v, tensor_view<T, 2> z) {
  namespace steps = detail::blas_backend;
  const std::size_t heads = pattern.rows();
  if (heads == 0) return;
  const openblas::single_threaded guard;
  steps::for_queries(*pool_, heads, z.rows(), v.rows() - z.rows(), [&](const steps::head_queries& at, std::size_t) {
    steps::mix<T>(at, steps::rows_of(at, pattern), v, v.cols() / heads, z);
  });
}

#ifdef OPTSCOPE_COMPILED
template void cblas::linear(tensor_view<const float, 2>, const matrix_view<float>&, const float*,
                            tensor_view<float, 2>);
template void cblas::linear(tensor_view<const double, 2>, const matrix_view<double>&, const double*,
                            tensor_view<double, 2>);
template void cblas::linear_backward(tensor_view<const float, 2>, const matrix_view<float>&, tensor_view<float, 2>);
template void cblas::linear_backward(tensor_view<const double, 2>, const matrix_view<double>&, tensor_view<double, 2>);
template void cblas::layer_norm(tensor_view<const float, 2>, const float*, const float*, tensor_view<float, 2>);
template void cblas::layer_norm(tensor_view<const double, 2>, const double*, const double*, tensor_view<double, 2>);
template void cblas::activate(activation, tensor_view<float, 2>);
template void cblas::activate(activation, tensor_view<double, 2>);
template void cblas::add(tensor_view<const float, 2>, tensor_view<float, 2>);
template void cblas::add(tensor_view<const double, 2>, tensor_view<double, 2>);
template void cblas::attention(std::span<const attention_text<float>>, std::size_t);
template void cblas::attention(std::span<const attention_text<double>>, std::size_t);
template void cblas::attention_scores(tensor_view<const float, 2>, tensor_view<const float, 2>, tensor_view<float, 3>);
template void cblas::attention_scores(tensor_view<const double, 2>, tensor_view<const double, 2>,
                                      tensor_view<double, 3>);
template void cblas::attention_softmax(tensor_view<float, 3>);
template void cblas::attention_softmax(tensor_view<double, 3>);
template void cblas::attention_mix(tensor_view<const float, 3>, tensor_view<const float, 2>, tensor_view<float, 2>);
template void cblas::attention_mix(tensor_view<const double, 3>, tensor_view<const double, 2>, tensor_view<double, 2>);
#endif

}  // namespace optscope
