// SPDX-License-Identifier: MIT
#pragma once
// The backend concept: the arithmetic that the forward pass is made of.

#include <concepts>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/tensor.hpp>
#include <span>

namespace optscope {

/// One text's part in attention: q (m, hidden) of its last m positions, k and v (t, hidden) of all; z (m, hidden) is
/// the result.
template <class T>
struct attention_text {
  tensor_view<const T, 2> q, k, v;
  tensor_view<T, 2> z;
};

/// What a type must do to run the forward pass in scalar T. All views are row-major; (m, k) reads "m rows of k".
///
/// * `linear(x (m, k), w (n, k), bias (n) or null, y (m, n))`: y = x wᵀ + bias, weights as stored: [out, in].
/// * `layer_norm(x (m, n), gamma (n) or null, beta (n) or null, y (m, n))`: eps 1e-5, biased variance.
/// * `activate(kind, x)`: in place. `add(x, y)`: y += x.
/// * `attention(texts, heads)`: causal, of every `attention_text`; query i is at position t - m + i.
///   `attention_scores`, `attention_softmax`, `attention_mix` are its three steps for one text, for probes between
///   them, and give the same bits.
/// * `row_invariant()`: true if a row of `linear` has the same bits whatever other rows it is computed with; texts are
///   then computed together, otherwise one at a time, so that no result depends on what else was in the batch.
template <class B, class T>
concept backend_for = requires(B backend, tensor_view<const T, 2> in, tensor_view<T, 2> out, tensor_view<T, 3> square,
                               tensor_view<const T, 3> pattern, std::span<const attention_text<T>> texts,
                               const T* vector, std::size_t heads) {
  backend.linear(in, in, vector, out);
  backend.layer_norm(in, vector, vector, out);
  backend.activate(activation::relu, out);
  backend.add(in, out);
  backend.attention(texts, heads);
  backend.attention_scores(in, in, square);
  backend.attention_softmax(square);
  backend.attention_mix(pattern, in, out);
  { backend.template row_invariant<T>() } -> std::same_as<bool>;
};

}  // namespace optscope
