// SPDX-License-Identifier: MIT
#pragma once
// Bodies of weights.hpp.

#include <algorithm>
#include <optscope/opt/weights.hpp>
#include <utility>

namespace optscope {

template <class To, class From>
layer_values<To> copy_layer(const layer_weights<From>& from, std::vector<To>& buffer) {
  const std::size_t hidden = from.fc2.weight.rows();
  const auto size = [](const linear_weights<From>& map) {
    return map.weight.size() + (map.bias == nullptr ? 0 : map.weight.rows());
  };
  buffer.resize(size(from.qkv) + size(from.out) + size(from.fc1) + size(from.fc2) + 4 * hidden);
  To* end = buffer.data();
  const auto copy = [&](const From* values, std::size_t count) -> const To* {
    if (values == nullptr) return nullptr;
    To* const begin = std::exchange(end, end + count);
    std::transform(values, values + count, begin, [](From value) { return static_cast<To>(value); });
    return begin;
  };
  const auto linear = [&](const linear_weights<From>& map) -> linear_weights<To, tensor_view<const To, 2>> {
    To* const weight = std::exchange(end, end + map.weight.size());
    map.weight.copy_rows(0, map.weight.rows(), weight);
    return {.weight = {weight, map.weight.shape()}, .bias = copy(map.bias, map.weight.rows())};
  };
  const auto norm = [&](const norm_weights<From>& weights) -> norm_weights<To> {
    return {.gamma = copy(weights.gamma, hidden), .beta = copy(weights.beta, hidden)};
  };
  layer_values<To> result;
  result.ln1 = norm(from.ln1);
  result.ln2 = norm(from.ln2);
  result.qkv = linear(from.qkv);
  result.out = linear(from.out);
  result.fc1 = linear(from.fc1);
  result.fc2 = linear(from.fc2);
  return result;
}

#ifdef OPTSCOPE_COMPILED
template layer_values<float> copy_layer(const layer_weights<float>&, std::vector<float>&);
template layer_values<float> copy_layer(const layer_weights<double>&, std::vector<float>&);
template layer_values<double> copy_layer(const layer_weights<float>&, std::vector<double>&);
template layer_values<double> copy_layer(const layer_weights<double>&, std::vector<double>&);
#endif

}  // namespace optscope
