// SPDX-License-Identifier: MIT
#pragma once
// A weight policy that leaves parts of the model out: rows and columns of neurons, columns of heads.

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
/// A removed neuron costs nothing any more: its row of fc1 and its column of fc2 are gone, and what its constant
/// activation would add to the stream is in fc2's bias. A removed head's columns of W_O are zero, what its constant z
/// would add is in the bias. The logits are those of the model whose activations are overwritten, to rounding.
/// `mlp_pre` and `mlp_post` have the neurons that are left, in order.
template <class T>
class pruned_weights {
 public:
  pruned_weights(const checkpoint& files, const architecture& shape, thread_pool& pool)
      : whole_{files, shape, pool}, shape_{shape}, layers_(shape.layers) {}

  /// The whole model, of which nothing is removed; the two share its weights.
  pruned_weights(const pruned_weights& other)
      : whole_{other.whole_}, shape_{other.shape_}, layers_(other.layers_.size()) {}
  pruned_weights(pruned_weights&&) = default;

  /// Takes `what` out of the whole model: what was removed before is back. An empty removal restores it.
  void remove(const removal& what, thread_pool& pool) {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      layers_[i].used = i < what.layers.size() && !what.layers[i].empty();
      if (layers_[i].used) cut(whole_.layer(i, i + 1, pool), what.layers[i], layers_[i], pool);
    }
  }

  layer_weights<T> layer(std::size_t index, std::size_t end, thread_pool& pool) {
    return layers_[index].used ? layers_[index].view : whole_.layer(index, end, pool);
  }

 private:
  struct cut_layer {
    bool used = false;
    std::vector<T> fc1, fc1_bias, fc2, fc2_bias, out, out_bias;
    layer_weights<T> view;
  };

  void cut(const layer_weights<T>& whole, const layer_removal& what, cut_layer& to, thread_pool& pool) const {
    const std::size_t hidden = shape_.hidden, width = shape_.head_dim();
    const std::size_t neurons = whole.fc1.weight.rows();
    std::vector<std::size_t> kept;
    for (std::size_t n = 0, next = 0; n < neurons; ++n) {
      if (next < what.neurons.size() && what.neurons[next] == n) {
        ++next;
      } else {
        kept.push_back(n);
      }
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
      to.out.assign(whole.out.weight.data(), whole.out.weight.data() + hidden * hidden);
      bias(whole.out.bias, !what.head_values.empty(), to.out_bias);
      for (std::size_t row = 0; row < hidden; ++row) {
        for (std::size_t i = 0; i < what.heads.size(); ++i) {
          T* columns = to.out.data() + row * hidden + what.heads[i] * width;
          for (std::size_t d = 0; d < width; ++d) {
            if (!what.head_values.empty()) {
              to.out_bias[row] += columns[d] * static_cast<T>(what.head_values[i * width + d]);
            }
            columns[d] = 0;
          }
        }
      }
      to.view.out = {{to.out.data(), {hidden, hidden}}, to.out_bias.empty() ? nullptr : to.out_bias.data()};
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
