// SPDX-License-Identifier: MIT
#pragma once
// Bodies of pruned_weights.hpp.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
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
void pruned_layer<T>::matrix::resize(dtype stored, std::size_t height, std::size_t width) {
  type = stored;
  rows = height;
  columns = width;
  weight.assign(rows * columns * size_of(type), std::byte{0});  // 0 in every type
  scales.assign(type == dtype::i8 ? rows : 0, 0);
}

template <class T>
std::byte* pruned_layer<T>::matrix::at(std::size_t row, std::size_t column) {
  return weight.data() + (row * columns + column) * size_of(type);
}

template <class T>
void pruned_layer<T>::matrix::take_scale(std::size_t row, const matrix_view<T>& whole, std::size_t whole_row) {
  if (whole.scaled()) scales[row] = *whole.scales(whole_row);
}

template <class T>
linear_weights<T> pruned_layer<T>::matrix::view() const {
  const std::array<std::size_t, 2> shape{rows, columns};
  linear_weights<T> result{.weight = {weight.data(), type, shape}, .bias = bias.empty() ? nullptr : bias.data()};
  if (!scales.empty()) result.weight = {reinterpret_cast<const std::int8_t*>(weight.data()), scales.data(), shape};
  return result;
}

/// bias += what the inputs `columns` of a row add to it, each with its constant value.
template <class T>
void add_constants(const matrix_view<T>& of, std::size_t row, const std::vector<std::size_t>& columns,
                   const std::vector<float>& values, T& bias) {
  std::vector<T> weights(of.cols());
  of.copy_rows(row, 1, weights.data());
  double sum = static_cast<double>(bias);
  for (std::size_t i = 0; i < columns.size(); ++i) {
    sum += static_cast<double>(values[i]) * static_cast<double>(weights[columns[i]]);
  }
  bias = static_cast<T>(sum);
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
  fc1_.resize(whole.fc1.weight.type(), left, hidden);
  fc1_.bias.assign(whole.fc1.bias == nullptr ? 0 : left, T{0});
  fc2_.resize(whole.fc2.weight.type(), hidden, left);
  fc2_.bias = bias_to_add_to(whole.fc2.bias, constants, hidden);
  for (std::size_t i = 0; i < kept.size(); ++i) {
    std::memcpy(fc1_.at(i), whole.fc1.weight.row(kept[i]), whole.fc1.weight.row_bytes());
    fc1_.take_scale(i, whole.fc1.weight, kept[i]);
    if (whole.fc1.bias != nullptr) fc1_.bias[i] = whole.fc1.bias[kept[i]];
  }
  const std::size_t element = size_of(fc2_.type);
  pool.parallel_for(hidden, [&](std::size_t row, std::size_t) {
    const std::byte* from = whole.fc2.weight.row(row);
    fc2_.take_scale(row, whole.fc2.weight, row);
    for (std::size_t i = 0; i < kept.size(); ++i) std::memcpy(fc2_.at(row, i), from + kept[i] * element, element);
    if (constants) add_constants(whole.fc2.weight, row, what.neurons, what.neuron_values, fc2_.bias[row]);
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
  qkv_.resize(whole.qkv.weight.type(), 3 * width, hidden);
  qkv_.bias.assign(whole.qkv.bias == nullptr ? 0 : 3 * width, T{0});
  out_.resize(whole.out.weight.type(), hidden, width);
  out_.bias = bias_to_add_to(whole.out.bias, constants, hidden);
  pool.parallel_for(3 * left, [&](std::size_t i, std::size_t) {
    const std::size_t which = i / left, head = kept[i % left];  // which: 0 is q, 1 is k, 2 is v
    const std::size_t row = (which * heads + head) * head_dim;
    for (std::size_t d = 0; d < head_dim; ++d) {
      std::memcpy(qkv_.at(i * head_dim + d), whole.qkv.weight.row(row + d), whole.qkv.weight.row_bytes());
      qkv_.take_scale(i * head_dim + d, whole.qkv.weight, row + d);
    }
    if (whole.qkv.bias != nullptr) std::copy_n(whole.qkv.bias + row, head_dim, qkv_.bias.data() + i * head_dim);
  });
  std::vector<std::size_t> removed;  // columns of W_O
  for (const std::size_t head : what.heads) {
    for (std::size_t d = 0; constants && d < head_dim; ++d) removed.push_back(head * head_dim + d);
  }
  const std::size_t bytes = head_dim * size_of(out_.type);  // of a head in a row of W_O
  pool.parallel_for(hidden, [&](std::size_t row, std::size_t) {
    const std::byte* from = whole.out.weight.row(row);
    out_.take_scale(row, whole.out.weight, row);
    for (std::size_t i = 0; i < left && !none; ++i) {
      std::memcpy(out_.at(row, i * head_dim), from + kept[i] * bytes, bytes);
    }
    if (constants) add_constants(whole.out.weight, row, removed, what.head_values, out_.bias[row]);
  });
}

#ifdef OPTSCOPE_COMPILED
template class pruned_layer<float>;
template class pruned_layer<double>;
#endif

}  // namespace optscope::detail
