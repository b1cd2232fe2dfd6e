// SPDX-License-Identifier: MIT
#pragma once
// The weights as a run wants them, and the concept of the policies that provide them.

#include <cassert>
#include <concepts>
#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/memory_space.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <span>
#include <vector>

namespace optscope {

/// y = x weightᵀ + bias; weight [out, in]; bias null where the model has none. `Matrix` is how the weight is stored,
/// and in whose memory.
template <class T, class Matrix = matrix_view<T>>
struct linear_weights {
  Matrix weight;
  pointer_to<const T, typename Matrix::space> bias = nullptr;
};

/// Scale and shift of a LayerNorm, null where it has none.
template <class T, class Space = host_memory>
struct norm_weights {
  pointer_to<const T, Space> gamma = nullptr;
  pointer_to<const T, Space> beta = nullptr;
};

/// One layer, its matrices as they are stored. The three input maps of attention are one matrix: the rows of q, then
/// those of k, then those of v. In a layer with fewer heads than the model's `heads`, `qkv` is (3 head_dim heads,
/// hidden) and `out` (hidden, head_dim heads); with fewer neurons, `fc1` and `fc2` are smaller likewise.
template <class T, class Matrix = matrix_view<T>>
struct layer_weights {
  norm_weights<T, typename Matrix::space> ln1, ln2;
  linear_weights<T, Matrix> qkv;  // (3 hidden, hidden)
  linear_weights<T, Matrix> out;  // (hidden, hidden)
  linear_weights<T, Matrix> fc1;  // (ffn, hidden)
  linear_weights<T, Matrix> fc2;  // (hidden, ffn)
};

/// Bytes of a layer's matrices as they are stored.
template <class T>
[[nodiscard]] std::size_t stored_bytes(const layer_weights<T>& layer) {
  std::size_t bytes = 0;
  for (const auto* map : {&layer.qkv, &layer.out, &layer.fc1, &layer.fc2}) {
    bytes += map->weight.rows() * map->weight.row_bytes();
  }
  return bytes;
}

/// A layer whose matrices hold T, with elements that can be read one by one.
template <class T>
using layer_values = layer_weights<T, tensor_view<const T, 2>>;

/// One head of a layer, as views of the layer's weights. What it reads and writes in the stream are the products
/// W_Qᵀ W_K = qᵀ k and W_O W_V = out v, both (hidden, hidden) of rank head_dim (Elhage et al. 2021).
template <class T>
struct head_weights {
  linear_weights<T> q, k, v;  // weight (head_dim, hidden), bias (head_dim)
  matrix_view<T> out;         // (hidden, head_dim): the head's columns of W_O; the bias of W_O belongs to no head
};

/// The weights of a head, valid as long as those of the layer. A head that the layer does not have is an assertion.
///
///     const auto layer = opt.weights().layer(3, 4, opt.backend().pool());
///     const head_weights<float> head = head_slice(layer, opt.shape(), 5);
template <class T>
[[nodiscard]] head_weights<T> head_slice(const layer_weights<T>& layer, const architecture& shape, std::size_t head) {
  const std::size_t width = shape.head_dim(), all = layer.out.weight.cols();  // of the heads that the layer has
  assert((head + 1) * width <= all);
  const auto part = [&](std::size_t which) -> linear_weights<T> {
    const std::size_t first = which * all + head * width;
    return {.weight = layer.qkv.weight.slice(first, width),
            .bias = layer.qkv.bias == nullptr ? nullptr : layer.qkv.bias + first};
  };
  return {.q = part(0), .k = part(1), .v = part(2), .out = layer.out.weight.columns(head * width, width)};
}

/// What a model has before and after its layers, except for the tables of its vocabulary and positions.
template <class T, class Space = host_memory>
struct outer_weights {
  matrix_view<T, Space> project_in;   // (hidden, embed_dim); empty where the embedding is as wide as the stream
  norm_weights<T, Space> final_norm;  // null where the model has no final LayerNorm, or one without weights
  matrix_view<T, Space> project_out;  // (embed_dim, hidden); empty likewise
};

/// A weight policy: provides the weights of a model that computes in T, as they are stored. It must be movable,
/// and copyable for `side_by_side` and `model(other, backend)`. Its members:
///
/// * `W{files, shape, pool}` checks the tensors; throws `checkpoint_error` if one is missing or has another shape.
/// * `layer(i, end, pool)` returns a layer, valid until the next call. The layers up to `end` will be asked for next.
/// * `token_embedding(ids, rows)` fills rows (id, embed_dim).
/// * `position_embedding(first, rows)` fills rows (position, hidden) for the positions from `first` on.
/// * `outer()` returns the projections and the final LayerNorm, valid until the next call.
/// * `unembedding()` returns the unembedding, (vocabulary, embed_dim), valid until the next call.
/// * `version(i)`, optional: a number that is another one after layer i has changed. A backend with a memory of its own
///   keeps a copy of the layer as long as the number stays; without it, it copies the layer for every run.
///
/// All of it is in the host's memory, whatever the backend.
///
/// A policy that is about the layers alone inherits the rest from `mapped_weights`:
///
///     struct my_weights : mapped_weights<float> {
///       using mapped_weights<float>::mapped_weights;
///       layer_weights<float> layer(std::size_t index, std::size_t end, thread_pool& pool);
///     };
///
/// README.md in this folder has a whole one.
template <class W, class T>
concept weight_policy = std::move_constructible<W> &&
                        requires(W weights, const checkpoint& files, const architecture& shape, thread_pool& pool,
                                 std::size_t number, std::span<const token_id> ids, tensor_view<T, 2> rows) {
                          W{files, shape, pool};
                          { weights.layer(number, number, pool) } -> std::convertible_to<layer_weights<T>>;
                          weights.token_embedding(ids, rows);
                          weights.position_embedding(number, rows);
                          { weights.outer() } -> std::convertible_to<outer_weights<T>>;
                          { weights.unembedding() } -> std::convertible_to<matrix_view<T>>;
                        };

/// Copies a layer, converting it to another scalar, into `buffer`, and returns views of that.
template <class To, class From>
[[nodiscard]] layer_values<To> copy_layer(const layer_weights<From>& from, std::vector<To>& buffer);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/weights.ipp>
#endif
