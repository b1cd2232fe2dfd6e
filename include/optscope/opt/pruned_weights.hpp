// SPDX-License-Identifier: MIT
#pragma once
// A weight policy that leaves parts of the model out: rows and columns of neurons and heads.

#include <concepts>
#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <vector>

namespace optscope {

namespace detail {

/// The matrices of a layer that a removal makes smaller.
template <class T>
class pruned_layer {
 public:
  /// Removes the neurons and heads of `what` from a layer.
  void cut(const layer_weights<T>& whole, const layer_removal& what, std::size_t head_dim, thread_pool& pool);
  /// Nothing is removed.
  void restore() noexcept { neurons_removed_ = heads_removed_ = false; }
  [[nodiscard]] bool whole() const noexcept { return !neurons_removed_ && !heads_removed_; }

  /// The layer with the smaller matrices in place of its own.
  [[nodiscard]] layer_weights<T> in(layer_weights<T> whole) const;

 private:
  /// As many bytes an element as the whole matrix has.
  struct matrix {
    std::vector<std::byte> weight;
    std::vector<float> scales;  // [row], if the type is i8
    dtype type = dtype::f32;
    std::size_t rows = 0, columns = 0;
    std::vector<T> bias;

    void resize(dtype stored, std::size_t rows, std::size_t columns);
    [[nodiscard]] std::byte* at(std::size_t row, std::size_t column = 0);
    /// To be called for each row: `row` has the scale that row `whole_row` has in the whole matrix.
    void take_scale(std::size_t row, const matrix_view<T>& whole, std::size_t whole_row);
    [[nodiscard]] linear_weights<T> view() const;
  };

  void cut_neurons(const layer_weights<T>& whole, const layer_removal& what, thread_pool& pool);
  void cut_heads(const layer_weights<T>& whole, const layer_removal& what, std::size_t head_dim, thread_pool& pool);

  bool neurons_removed_ = false, heads_removed_ = false;
  matrix fc1_, fc2_, qkv_, out_;
};

}  // namespace detail

/// The weights of any policy, from which a removal can be taken, and another in its place:
///
///     model<any_opt, float, cpu, pruned_weights<float>> opt{files};
///     opt.weights().remove(what, opt.backend().pool());
///
/// What is removed costs nothing any more: a neuron's row of fc1 and column of fc2 are gone, and a head's rows of W_Q,
/// W_K and W_V and columns of W_O. What their constant activations would add to the stream is in the biases. The logits
/// are those of the model whose activations are overwritten, to rounding. `mlp_pre` and `mlp_post` have the neurons
/// that are left, sites of heads the heads, in order.
template <class T, class Base = mapped_weights<T>>
  requires weight_policy<Base, T>
class pruned_weights {
 public:
  pruned_weights(const checkpoint& files, const architecture& shape, thread_pool& pool)
      : whole_{files, shape, pool}, head_dim_{shape.head_dim()}, layers_(shape.layers), changes_(shape.layers) {}

  /// The whole model, from which nothing is removed; the two share its weights as far as copies of `Base` do.
  pruned_weights(const pruned_weights& other)
    requires std::copy_constructible<Base>
      : whole_{other.whole_},
        head_dim_{other.head_dim_},
        layers_(other.layers_.size()),
        changes_(other.layers_.size()) {}
  pruned_weights(pruned_weights&&) = default;

  /// Removes the neurons and heads of `what` from the whole model: what was removed before is back. An empty removal
  /// restores all. Directions are in no weight; `direction_edits_of` removes them from the stream of a run. Throws
  /// `bad_input`, and changes nothing, for a neuron or head that a layer does not have.
  void remove(const removal& what, thread_pool& pool) {
    const auto touched = [&](std::size_t i) { return i < what.layers.size() && !what.layers[i].keeps_weights(); };
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (!touched(i)) continue;
      const layer_weights<T> whole = whole_.layer(i, i + 1, pool);
      require_parts(what.layers[i], whole.fc1.weight.rows(), whole.out.weight.cols() / head_dim_);
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (touched(i) || !layers_[i].whole()) ++changes_[i];
      layers_[i].restore();
      if (touched(i)) layers_[i].cut(whole_.layer(i, i + 1, pool), what.layers[i], head_dim_, pool);
    }
  }

  layer_weights<T> layer(std::size_t index, std::size_t end, thread_pool& pool) {
    return layers_[index].in(whole_.layer(index, end, pool));
  }
  [[nodiscard]] std::size_t version(std::size_t index) const
    requires requires(const Base& whole) { whole.version(std::size_t{}); }
  {
    return whole_.version(index) + changes_[index];
  }
  void token_embedding(std::span<const token_id> ids, tensor_view<T, 2> rows) { whole_.token_embedding(ids, rows); }
  void position_embedding(std::size_t first, tensor_view<T, 2> rows) { whole_.position_embedding(first, rows); }
  [[nodiscard]] outer_weights<T> outer() { return whole_.outer(); }
  [[nodiscard]] matrix_view<T> unembedding() { return whole_.unembedding(); }

 private:
  Base whole_;
  std::size_t head_dim_;
  std::vector<detail::pruned_layer<T>> layers_;
  std::vector<std::size_t> changes_;  // [layer]
};

static_assert(weight_policy<pruned_weights<float>, float>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/pruned_weights.ipp>
#endif
