// SPDX-License-Identifier: MIT
#pragma once
// Bodies of layer_reader.hpp.

#include <algorithm>
#include <array>
#include <optscope/opt/layer_reader.hpp>
#include <utility>

namespace optscope {
namespace detail {

inline constexpr std::size_t piece_size = 1 << 18;  // elements that one thread converts at a time, about
inline constexpr std::size_t pieces_ahead = 64;     // that the disk reads

/// A tensor of a layer, or its bias.
struct layer_part {
  tensor_role role;
  bool bias;
};
/// The layout of a layer's buffer: q, k and v are one matrix, and their biases one vector.
inline constexpr std::array<layer_part, 16> layer_layout{{{tensor_role::ln1, false},
                                                          {tensor_role::ln1, true},
                                                          {tensor_role::ln2, false},
                                                          {tensor_role::ln2, true},
                                                          {tensor_role::q, false},
                                                          {tensor_role::k, false},
                                                          {tensor_role::v, false},
                                                          {tensor_role::q, true},
                                                          {tensor_role::k, true},
                                                          {tensor_role::v, true},
                                                          {tensor_role::attention_out, false},
                                                          {tensor_role::attention_out, true},
                                                          {tensor_role::fc1, false},
                                                          {tensor_role::fc1, true},
                                                          {tensor_role::fc2, false},
                                                          {tensor_role::fc2, true}}};

}  // namespace detail

template <class T>
layer_reader<T>::layer_reader(const checkpoint& files, const architecture& shape)
    : shape_{shape}, sizes_{layer_sizes_of(files.configuration(), shape)}, layers_(shape.layers) {
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    std::size_t size = 0;
    for (const auto& [role, bias] : detail::layer_layout) {
      if (!has_tensor(shape, role, bias)) continue;
      const auto tensor =
          std::make_shared<const stored_tensor>(require_tensor(files, tensor_of(shape, sizes_, role, layer, bias)));
      const std::size_t rows = std::max<std::size_t>(1, detail::piece_size / tensor->row_size());
      for (std::size_t first = 0; first < tensor->rows(); first += rows) {
        layers_[layer].push_back({.tensor = tensor,
                                  .first = first,
                                  .count = std::min(rows, tensor->rows() - first),
                                  .offset = size + first * tensor->row_size()});
      }
      size += tensor->size();
    }
    size_ = std::max(size_, size);
  }
}

template <class T>
layer_weights<T> layer_reader<T>::read(std::size_t layer, T* buffer, thread_pool& pool) const {
  const std::vector<piece>& pieces = layers_[layer];
  pool.parallel_for(pieces.size(), [&](std::size_t i, std::size_t) {
    pieces[i].tensor->copy_rows(pieces[i].first, pieces[i].count, buffer + pieces[i].offset);
  });
  return view(layer, buffer);
}

template <class T>
layer_weights<T> layer_reader<T>::read(std::size_t layer, T* buffer) const {
  const std::vector<piece>& pieces = layers_[layer];
  const auto read_ahead = [&](std::size_t number) {  // counting from this layer's first piece into the next layer's
    const bool here = number < pieces.size();
    const std::size_t from = here ? layer : layer + 1, index = here ? number : number - pieces.size();
    if (from >= layers_.size() || index >= layers_[from].size()) return;
    const piece& next = layers_[from][index];
    next.tensor->read_ahead(next.first, next.count);
  };
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    read_ahead(i + detail::pieces_ahead);
    pieces[i].tensor->copy_rows(pieces[i].first, pieces[i].count, buffer + pieces[i].offset);
  }
  return view(layer, buffer);
}

template <class T>
layer_weights<T> layer_reader<T>::view(std::size_t layer, const T* buffer) const {
  const T* at = buffer;
  const auto take = [&at](std::size_t count) { return std::exchange(at, at + count); };
  const auto norm = [&]() -> norm_weights<T> {
    if (!shape_.affine_layer_norm) return {};
    const T* const gamma = take(shape_.hidden);
    return {.gamma = gamma, .beta = take(shape_.hidden)};
  };
  const auto linear = [&](std::size_t out, std::size_t in) -> linear_weights<T> {
    const tensor_view<const T, 2> weight{take(out * in), {out, in}};
    return {.weight = weight, .bias = shape_.bias ? take(out) : nullptr};
  };
  const std::size_t width = sizes_.heads[layer] * shape_.head_dim(), neurons = sizes_.neurons[layer];
  layer_weights<T> result;  // in the order of the layout
  result.ln1 = norm();
  result.ln2 = norm();
  result.qkv = linear(3 * width, shape_.hidden);
  result.out = linear(shape_.hidden, width);
  result.fc1 = linear(neurons, shape_.hidden);
  result.fc2 = linear(shape_.hidden, neurons);
  return result;
}

#ifdef OPTSCOPE_COMPILED
template class layer_reader<float>;
template class layer_reader<double>;
#endif

}  // namespace optscope
