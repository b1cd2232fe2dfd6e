// SPDX-License-Identifier: MIT
#pragma once
// The backend on the BLAS that the program is linked with: OpenBLAS, MKL, BLIS.

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

/// Arithmetic by sgemm and dgemm of the user's BLAS: `linear`, `linear_backward` and both products of attention.
/// LayerNorm and softmax are plain loops. `backend_for` says what each member does.
///
///     model<any_opt, float, cblas> opt{checkpoint{folder}};
///
/// Work is shared out over the backend's own threads in blocks of fixed size, and each calls BLAS for one block.
/// OpenBLAS is kept to one thread a call and to the best kernels for this CPU (`openblas::use_best_kernels`); with
/// another BLAS set its own variable to one thread (`MKL_NUM_THREADS=1`, `BLIS_NUM_THREADS=1`). Copies share one pool.
///
/// Bits: the same for any number of threads if BLAS gives the same bits for the same sizes, as OpenBLAS does. They
/// depend on how many rows are multiplied at once, so texts are computed one at a time.
class cblas : public host_backend {
 public:
  /// `threads` = 0 takes as many as the machine has cores. The first one in a process must not be made while another
  /// thread is inside BLAS.
  explicit cblas(std::size_t threads = 0);

  [[nodiscard]] thread_pool& pool() const noexcept { return *pool_; }
  [[nodiscard]] cblas with_threads(std::size_t threads) const { return cblas{threads}; }
  [[nodiscard]] bool row_invariant() const noexcept { return false; }

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

static_assert(gradient_backend_for<cblas, float> && gradient_backend_for<cblas, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/backend/cblas.ipp>
#endif
