// SPDX-License-Identifier: MIT
#pragma once
// Bodies of pruned_weights.hpp.

#include <algorithm>
#include <optscope/opt/pruned_weights.hpp>

namespace optscope::detail {

/// The numbers below `count` that are not in `removed`, which is ascending.
inline std::vector<std::size_t> numbers_left(std::size_t count, const std::vector<std::size_t>& removed) {
  std::vector<std::size_t> left;
  for (std::size_t i = 0; i < count; ++i) {
    if (!std::binary_search(removed.begin(), removed.end(), i)) left.push_back(i);
  }
  return left;
}

/// A bias of `size` elements that can be added to; empty where there is none and none is needed.
template <class T>
std::vector<T> bias_to_add_to(const T* from, bool needed, std::size_t size) {
  if (from != nullptr) return {from, from + size};
  return std::vector<T>(needed ? size : 0);
}

template <class T>
linear_weights<T> pruned_layer<T>::matrix::view() const {
  return {.weight = {weight.data(), {rows, weight.size() / rows}}, .bias = bias.empty() ? nullptr : bias.data()};
}

template <class T>
layer_weights<T> pruned_layer<T>::in(layer_weights<T> whole) const {
  if (neurons_removed_) {
    whole.fc1 = fc1_.view();
    whole.fc2 = fc2_.view();
  }
  if (heads_removed_) {
    whole.qkv = qkv_.view();
    whole.out = out_.view();
  }
  return whole;
}

template <class T>
void pruned_layer<T>::cut(const layer_weights<T>& whole, const layer_removal& what, std::size_t head_dim,
                          thread_pool& pool) {
  neurons_removed_ = !what.neurons.empty();
  heads_removed_ = !what.heads.empty();
  if (neurons_removed_) cut_neurons(whole, what, pool);
  if (heads_removed_) cut_heads(whole, what, head_dim, pool);
}

template <class T>
void pruned_layer<T>::cut_neurons(const layer_weights<T>& whole, const layer_removal& what, thread_pool& pool) {
  const std::size_t hidden = whole.fc2.weight.rows();
  const std::vector<std::size_t> kept = numbers_left(whole.fc1.weight.rows(), what.neurons);
  // One neuron without effect stays where none is left, so that no matrix is empty.
  const std::size_t left = std::max<std::size_t>(1, kept.size());
  const bool constants = !what.neuron_values.empty();
  fc1_.rows = left;
  fc1_.weight.assign(left * hidden, T{0});
  fc1_.bias.assign(whole.fc1.bias == nullptr ? 0 : left, T{0});
  fc2_.rows = hidden;
  fc2_.weight.assign(hidden * left, T{0});
  fc2_.bias = bias_to_add_to(whole.fc2.bias, constants, hidden);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    std::ranges::copy(whole.fc1.weight.row(kept[i]), fc1_.weight.data() + i * hidden);
    if (whole.fc1.bias != nullptr) fc1_.bias[i] = whole.fc1.bias[kept[i]];
  }
  pool.parallel_for(hidden, [&](std::size_t row, std::size_t) {
    const T* from = whole.fc2.weight.row(row).data();
    for (std::size_t i = 0; i < kept.size(); ++i) fc2_.weight[row * left + i] = from[kept[i]];
    if (!constants) return;
    double sum = static_cast<double>(fc2_.bias[row]);
    for (std::size_t i = 0; i < what.neurons.size(); ++i) {
      sum += static_cast<double>(what.neuron_values[i]) * static_cast<double>(from[what.neurons[i]]);
    }
    fc2_.bias[row] = static_cast<T>(sum);
  });
}

template <class T>
void pruned_layer<T>::cut_heads(const layer_weights<T>& whole, const layer_removal& what, std::size_t head_dim,
                                thread_pool& pool) {
  const std::size_t hidden = whole.out.weight.rows(), heads = whole.out.weight.cols() / head_dim;
  std::vector<std::size_t> kept = numbers_left(heads, what.heads);
  const bool none = kept.empty();
  if (none) kept.push_back(0);  // stays without effect: its columns of W_O are zero
  const std::size_t left = kept.size(), width = left * head_dim;
  const bool constants = !what.head_values.empty();
  qkv_.rows = 3 * width;
  qkv_.weight.resize(3 * width * hidden);
  qkv_.bias.assign(whole.qkv.bias == nullptr ? 0 : 3 * width, T{0});
  out_.rows = hidden;
  out_.weight.assign(hidden * width, T{0});
  out_.bias = bias_to_add_to(whole.out.bias, constants, hidden);
  pool.parallel_for(3 * left, [&](std::size_t i, std::size_t) {
    const std::size_t which = i / left, head = kept[i % left];  // which: 0 is q, 1 is k, 2 is v
    const std::size_t row = (which * heads + head) * head_dim;
    std::copy_n(whole.qkv.weight.row(row).data(), head_dim * hidden, qkv_.weight.data() + i * head_dim * hidden);
    if (whole.qkv.bias != nullptr) std::copy_n(whole.qkv.bias + row, head_dim, qkv_.bias.data() + i * head_dim);
  });
  pool.parallel_for(hidden, [&](std::size_t row, std::size_t) {
    const T* from = whole.out.weight.row(row).data();
    for (std::size_t i = 0; i < left && !none; ++i) {
      std::copy_n(from + kept[i] * head_dim, head_dim, out_.weight.data() + row * width + i * head_dim);
    }
    if (!constants) return;
    double sum = static_cast<double>(out_.bias[row]);
    for (std::size_t i = 0; i < what.head_values.size(); ++i) {
      const std::size_t column = what.heads[i / head_dim] * head_dim + i % head_dim;
      sum += static_cast<double>(what.head_values[i]) * static_cast<double>(from[column]);
    }
    out_.bias[row] = static_cast<T>(sum);
  });
}

#ifdef OPTSCOPE_COMPILED
template class pruned_layer<float>;
template class pruned_layer<double>;
#endif

}  // namespace optscope::detail
