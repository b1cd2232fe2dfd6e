// SPDX-License-Identifier: MIT
#pragma once
// The default backend: products, LayerNorm, attention on CPU threads, with the library's own kernels.

#include <cstddef>
#include <memory>
#include <optscope/backend/backend.hpp>
#include <optscope/backend/host_backend.hpp>
#include <optscope/backend/worker_memory.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <span>
#include <type_traits>

namespace optscope {

/// Arithmetic on CPU threads, in float and double, with kernels of its own: `backend_for` says what each member does.
/// Work is shared out by columns, rows and heads. Copies share one pool.
///
/// Bits: the same for any number of threads and any batch. Between CPUs with AVX-512, with AVX2 and with neither, the
/// last bits differ.
class cpu : public host_backend {
 public:
  /// `threads` = 0 takes as many as the machine has cores.
  explicit cpu(std::size_t threads = 0);

  [[nodiscard]] thread_pool& pool() const noexcept { return *pool_; }
  [[nodiscard]] cpu with_threads(std::size_t threads) const { return cpu{threads}; }
  [[nodiscard]] bool row_invariant() const noexcept { return true; }

  template <class T>
  void linear(tensor_view<const T, 2> x, const std::type_identity_t<matrix_view<T>>& w, const T* bias,
              tensor_view<T, 2> y);
  template <class T>
  void linear_backward(tensor_view<const T, 2> x, const std::type_identity_t<matrix_view<T>>& w, tensor_view<T, 2> y);
  template <class T>
  void layer_norm(tensor_view<const T, 2> x, const T* gamma, const T* beta, tensor_view<T, 2> y);
  template <class T>
  void activate(activation kind, tensor_view<T, 2> x);
  template <class T>
  void add(tensor_view<const T, 2> x, tensor_view<T, 2> y);
  template <class T>
  void attention(std::span<const attention_text<T>> texts, std::size_t heads);
  template <class T>
  void attention_scores(tensor_view<const T, 2> q, tensor_view<const T, 2> k, tensor_view<T, 3> scores);
  template <class T>
  void attention_softmax(tensor_view<T, 3> scores);
  template <class T>
  void attention_mix(tensor_view<const T, 3> pattern, tensor_view<const T, 2> v, tensor_view<T, 2> z);

 private:
  std::shared_ptr<thread_pool> pool_;
  detail::worker_memory scratch_;
};

static_assert(gradient_backend_for<cpu, float> && gradient_backend_for<cpu, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/backend/cpu.ipp>
#endif
