// SPDX-License-Identifier: MIT
#pragma once
// The steps of a backward pass that are not products of matrices: LayerNorm, nonlinearities, attention.

#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <vector>

namespace optscope::detail {

/// dy (row, hidden) back through y = gamma (x - mean) / sd + beta.
template <class T>
[[nodiscard]] tensor<T, 2> norm_backward(tensor_view<const T, 2> dy, tensor_view<const T, 2> x,
                                         const norm_weights<T>& weights, thread_pool& pool);

/// In place, (row, ffn): the gradient at `mlp_post`, times each neuron's factor, to that at `mlp_pre`. `shown` is
/// `mlp_post` for ReLU, which is positive where the slope is 1, and `mlp_pre` for any other nonlinearity.
template <class T>
void nonlinearity_backward(activation kind, tensor_view<const T, 2> shown, std::span<const T> factors,
                           tensor_view<T, 2> gradient, thread_pool& pool);

/// Attention in one layer of a run over texts, the rows of all texts one after the other.
template <class T>
struct attention_run {
  std::span<const std::size_t> first_row;  ///< [text], then how many rows there are
  std::size_t heads;
  tensor_view<const T, 2> q, k, v;               ///< (row, hidden)
  std::vector<tensor_view<const T, 3>> pattern;  ///< [text]: (head, position, key)
};

/// The gradients at what attention is computed from.
template <class T>
struct attention_gradients {
  tensor<T, 2> qkv;                   ///< (row, 3 hidden): of q, k and v side by side
  std::vector<tensor<T, 3>> scores;   ///< [text]: (head, position, key); empty unless asked for
  std::vector<tensor<T, 3>> pattern;  ///< likewise
};

/// dz (row, hidden) back through attention; with `maps` also the gradients at `scores` and `pattern`.
template <class T>
[[nodiscard]] attention_gradients<T> attention_backward(const attention_run<T>& of, tensor_view<const T, 2> dz,
                                                        bool maps, thread_pool& pool);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/gradient_steps.ipp>
#endif
