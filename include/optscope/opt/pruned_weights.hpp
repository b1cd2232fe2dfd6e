// SPDX-License-Identifier: MIT
#pragma once
// A weight policy that leaves parts of the model out: rows and columns of neurons and heads.

#include <algorithm>
#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/opt/weights.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// Resident weights of which a removal can be taken out, and put back by another: `model::weights().remove(what)`.
///
/// What is removed costs nothing any more: a neuron's row of fc1 and column of fc2 are gone, a head's rows of W_Q, W_K
/// and W_V and columns of W_O; what their constant activations would add to the stream is in the biases. The logits are
/// those of the model whose activations are overwritten, to rounding. `mlp_pre` and `mlp_post` have the neurons that
/// are left, sites of heads the heads, in order.
template <class T>
class pruned_weights {
 public:
  pruned_weights(const checkpoint& files, const architecture& shape, thread_pool& pool)
      : whole_{files, shape, pool}, shape_{shape}, layers_(shape.layers) {}

  /// The whole model, of which nothing is removed; the two share its weights.
  pruned_weights(const pruned_weights& other)
      : whole_{other.whole_}, shape_{other.shape_}, layers_(other.layers_.size()) {}
  pruned_weights(pruned_weights&&) = default;

  /// Takes the neurons and heads of `what` out of the whole model: what was removed before is back. An empty removal
  /// restores it. Directions are in no weight, `direction_edits_of` takes them out of what runs. Throws `bad_input` for
  /// a neuron or head that a layer does not have.
  void remove(const removal& what, thread_pool& pool) {
    const auto touched = [&](std::size_t i) { return i < what.layers.size() && !what.layers[i].keeps_weights(); };
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      if (!touched(i)) continue;
      const layer_weights<T> whole = whole_.layer(i, i + 1, pool);
      require_parts(what.layers[i], whole.fc1.weight.rows(), whole.out.weight.cols() / shape_.head_dim());
    }
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      layers_[i].used = touched(i);
      if (layers_[i].used) cut(whole_.layer(i, i + 1, pool), what.layers[i], layers_[i], pool);
    }
  }

  layer_weights<T> layer(std::size_t index, std::size_t end, thread_pool& pool) {
    return layers_[index].used ? layers_[index].view : whole_.layer(index, end, pool);
  }

 private:
  struct cut_layer {
    bool used = false;
    std::vector<T> fc1, fc1_bias, fc2, fc2_bias, qkv, qkv_bias, out, out_bias;
    layer_weights<T> view;
  };

  void cut(const layer_weights<T>& whole, const layer_removal& what, cut_layer& to, thread_pool& pool) const {
    const std::size_t hidden = shape_.hidden, width = shape_.head_dim();
    const std::size_t neurons = whole.fc1.weight.rows(), heads = whole.out.weight.cols() / width;
    std::vector<std::size_t> kept;
    for (std::size_t n = 0; n < neurons; ++n) {
      if (!std::binary_search(what.neurons.begin(), what.neurons.end(), n)) kept.push_back(n);
    }
    // One neuron without effect stays where none is left, so that no matrix is empty.
    const std::size_t left = std::max<std::size_t>(1, kept.size());
    to.view = whole;
    if (!what.neurons.empty()) {
      to.fc1.assign(left * hidden, T{0});
      to.fc1_bias.assign(left, T{0});
      to.fc2.assign(hidden * left, T{0});
      const bool constants = !what.neuron_values.empty();
      bias(whole.fc2.bias, constants, to.fc2_bias);
      for (std::size_t i = 0; i < kept.size(); ++i) {
        std::ranges::copy(whole.fc1.weight.row(kept[i]), to.fc1.data() + i * hidden);
        if (whole.fc1.bias != nullptr) to.fc1_bias[i] = whole.fc1.bias[kept[i]];
      }
      pool.parallel_for(hidden, [&](std::size_t row, std::size_t) {
        const T* from = whole.fc2.weight.row(row).data();
        for (std::size_t i = 0; i < kept.size(); ++i) to.fc2[row * left + i] = from[kept[i]];
        if (!constants) return;
        double sum = static_cast<double>(to.fc2_bias[row]);
        for (std::size_t i = 0; i < what.neurons.size(); ++i) {
          sum += static_cast<double>(what.neuron_values[i]) * static_cast<double>(from[what.neurons[i]]);
        }
        to.fc2_bias[row] = static_cast<T>(sum);
      });
      to.view.fc1 = {{to.fc1.data(), {left, hidden}}, whole.fc1.bias == nullptr ? nullptr : to.fc1_bias.data()};
      to.view.fc2 = {{to.fc2.data(), {hidden, left}}, to.fc2_bias.empty() ? nullptr : to.fc2_bias.data()};
    }
    if (!what.heads.empty()) {
      std::vector<std::size_t> stay;
      for (std::size_t h = 0; h < heads; ++h) {
        if (!std::binary_search(what.heads.begin(), what.heads.end(), h)) stay.push_back(h);
      }
      const bool none = stay.empty();
      if (none) stay.push_back(0);
      const std::size_t inner = stay.size() * width;
      to.qkv.resize(3 * inner * hidden);
      to.qkv_bias.assign(3 * inner, T{0});
      to.out.assign(hidden * inner, T{0});
      const bool constants = !what.head_values.empty();
      bias(whole.out.bias, constants, to.out_bias);
      pool.parallel_for(3 * stay.size(), [&](std::size_t i, std::size_t) {
        const std::size_t from = (i / stay.size() * heads + stay[i % stay.size()]) * width;
        std::copy_n(whole.qkv.weight.row(from).data(), width * hidden, to.qkv.data() + i * width * hidden);
        if (whole.qkv.bias != nullptr) std::copy_n(whole.qkv.bias + from, width, to.qkv_bias.data() + i * width);
      });
      pool.parallel_for(hidden, [&](std::size_t row, std::size_t) {
        const T* from = whole.out.weight.row(row).data();
        for (std::size_t i = 0; i < stay.size() && !none; ++i) {
          std::copy_n(from + stay[i] * width, width, to.out.data() + row * inner + i * width);
        }
        if (!constants) return;
        double sum = static_cast<double>(to.out_bias[row]);
        for (std::size_t i = 0; i < what.head_values.size(); ++i) {
          sum += static_cast<double>(what.head_values[i]) *
                 static_cast<double>(from[what.heads[i / width] * width + i % width]);
        }
        to.out_bias[row] = static_cast<T>(sum);
      });
      to.view.qkv = {{to.qkv.data(), {3 * inner, hidden}}, whole.qkv.bias == nullptr ? nullptr : to.qkv_bias.data()};
      to.view.out = {{to.out.data(), {hidden, inner}}, to.out_bias.empty() ? nullptr : to.out_bias.data()};
    }
  }

  /// A bias of `hidden` elements that can be added to; stays empty where there is none and none is needed.
  void bias(const T* from, bool needed, std::vector<T>& to) const {
    to.clear();
    if (from != nullptr) {
      to.assign(from, from + shape_.hidden);
    } else if (needed) {
      to.assign(shape_.hidden, T{0});
    }
  }

  resident_weights<T> whole_;
  architecture shape_;
  std::vector<cut_layer> layers_;
};

static_assert(weight_policy<pruned_weights<float>, float>);

}  // namespace optscope
