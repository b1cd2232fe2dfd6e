// SPDX-License-Identifier: MIT
#pragma once
// The backend concept: the arithmetic that a model is computed with.

#include <concepts>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <span>

namespace optscope {

/// One text's part in attention: q (m, hidden) of its last m positions, k and v (t, hidden) of all; z (m, hidden) is
/// the result.
template <class T>
struct attention_text {
  tensor_view<const T, 2> q, k, v;
  tensor_view<T, 2> z;
};

/// What a type must have to compute in scalar T: the forward pass, generation and everything else that runs a model
/// uses these members and no others.
///
/// All views are row-major, and (m, k) means m rows of k elements; rows may be further apart in memory than they are
/// long (`stride()`). A result never overlaps an operand unless it says so below. Any size may be 0.
///
/// - `linear(x, w, bias, y)`: y (m, n) = x (m, k) wᵀ + bias; w (n, k), [out, in], a `matrix_view`, which has elements
///   of the type they are stored in; bias (n) or null.
/// - `layer_norm(x, gamma, beta, y)`: y = (x - mean) / sqrt(var + 1e-5) * gamma + beta for each row of x (m, n), with
///   the biased variance; gamma and beta (n) or null; y may be x.
/// - `activate(kind, x)`: the nonlinearity of the MLP, in place.
/// - `add(x, y)`: y += x, both (m, n).
/// - `attention(texts, heads)`: causal self-attention of every `attention_text`, head by head; query i is at position
///   t - m + i.
/// - `attention_scores(q, k, scores)`: its first step for one text, for probes: scores (heads, m, t) =
///   q·k / sqrt(head_dim), minus infinity for later keys.
/// - `attention_softmax(scores)`: its second step, softmax of each row in place.
/// - `attention_mix(pattern, v, z)`: its third step, z (m, hidden) = pattern (heads, m, t) times v (t, hidden). The
///   steps give the bits of `attention`.
/// - `row_invariant()`: true if a row of `linear` has the same bits whatever other rows are computed with it. Texts are
///   then computed together, otherwise one at a time, so that no result depends on what else is in the batch.
/// - `pool()`: the threads for work outside the backend, such as reading weights and analyses.
/// - `with_threads(n)`: a backend of the same kind with n threads of its own.
///
/// Copies of a backend share its threads. All memory is the host's. Members may be templates, or overloads for one
/// scalar only:
///
///     struct reference {
///       void linear(tensor_view<const float, 2> x, matrix_view<float> w, const float* bias,
///                   tensor_view<float, 2> y);
///       …
///     };
///     static_assert(backend_for<reference, float>);
///     model<any_opt, float, reference> opt{files, reference{}};
///
/// README.md in this folder has a whole backend.
template <class B, class T>
concept backend_for = std::copy_constructible<B> &&
                      requires(B backend, const B& same, tensor_view<const T, 2> in, matrix_view<T> weights,
                               tensor_view<T, 2> out, tensor_view<T, 3> square, tensor_view<const T, 3> pattern,
                               std::span<const attention_text<T>> texts, const T* vector, std::size_t count) {
                        backend.linear(in, weights, vector, out);
                        backend.layer_norm(in, vector, vector, out);
                        backend.activate(activation::relu, out);
                        backend.add(in, out);
                        backend.attention(texts, count);
                        backend.attention_scores(in, in, square);
                        backend.attention_softmax(square);
                        backend.attention_mix(pattern, in, out);
                        { same.row_invariant() } -> std::same_as<bool>;
                        { same.pool() } -> std::same_as<thread_pool&>;
                        { same.with_threads(count) } -> std::same_as<B>;
                      };

/// What gradients need in addition: `linear_backward(x, w, y)`, y (m, n) = x (m, k) w with w (k, n): back through
/// `linear`.
template <class B, class T>
concept gradient_backend_for =
    backend_for<B, T> && requires(B backend, tensor_view<const T, 2> in, matrix_view<T> weights,
                                  tensor_view<T, 2> out) { backend.linear_backward(in, weights, out); };

}  // namespace optscope
