// SPDX-License-Identifier: MIT
#pragma once
// Bodies of frozen_block.hpp.

#include <algorithm>
#include <optscope/backend/elementwise.hpp>
#include <optscope/opt/frozen_block.hpp>
#include <string>

namespace optscope {
namespace detail {

template <class T, std::size_t Rank>
void copy_rows(tensor_view<const T, Rank> from, tensor<T, Rank>& to) {
  to.resize(from.shape());
  for (std::size_t row = 0; row < from.rows(); ++row) std::ranges::copy(from.row(row), to.row(row).data());
}

template <class T>
void apply_gates(tensor_view<const T, 2> gates, std::size_t first, T constant, tensor_view<T, 2> neurons) {
  for (std::size_t row = 0; row < neurons.rows(); ++row) {
    const T* const gate = gates.row(first + row).data();
    T* const neuron = neurons.row(row).data();
    for (std::size_t i = 0; i < neurons.cols(); ++i) neuron[i] = neuron[i] * gate[i] + constant;
  }
}

inline std::string lengths_in_words(const std::vector<std::size_t>& lengths) {
  std::string text = std::to_string(lengths.size()) + " texts of ";
  for (std::size_t i = 0; i < lengths.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(lengths[i]);
  return text + " tokens";
}

}  // namespace detail

template <class T>
void frozen_activations<T>::begin(const run_plan& plan) {
  const bool cached = std::ranges::any_of(plan.cached, [](std::size_t tokens) { return tokens != 0; });
  if (plan.first_layer != 0 || cached) {
    throw bad_input{"", "frozen activations", "a run over whole texts from layer 0 on",
                    cached ? "one after cached tokens" : "one from layer " + std::to_string(plan.first_layer) + " on"};
  }
  lengths_ = plan.lengths;
  layers_.assign(plan.shape.layers, std::vector<record>(plan.lengths.size()));
  at_zero_ = 0;
  kernel::activate(plan.shape.nonlinearity, &at_zero_, 1);
}

template <class T>
void frozen_activations<T>::operator()(site::ln1_scale, const place& at, tensor_view<const T, 2> scale) {
  detail::copy_rows(scale, layers_[at.layer][at.text].ln1_scale);
}

template <class T>
void frozen_activations<T>::operator()(site::pattern, const place& at, tensor_view<const T, 3> pattern) {
  detail::copy_rows(pattern, layers_[at.layer][at.text].pattern);
}

template <class T>
void frozen_activations<T>::operator()(site::ln2_scale, const place& at, tensor_view<const T, 2> scale) {
  detail::copy_rows(scale, layers_[at.layer][at.text].ln2_scale);
}

template <class T>
void frozen_activations<T>::operator()(site::mlp_pre, const place& at, tensor_view<const T, 2> neurons) {
  detail::copy_rows(neurons, layers_[at.layer][at.text].gate);
}

template <class T>
void frozen_activations<T>::operator()(site::mlp_post, const place& at, tensor_view<const T, 2> neurons) {
  tensor<T, 2>& gate = layers_[at.layer][at.text].gate;  // mlp_pre as yet
  for (std::size_t row = 0; row < neurons.rows(); ++row) {
    std::ranges::transform(neurons.row(row), gate.row(row), gate.row(row).data(),
                           [&](T after, T before) { return before == 0 ? T{0} : (after - at_zero_) / before; });
  }
}

template <class T>
void frozen_activations<T>::require_same_texts(const run_plan& plan) const {
  const bool cached = std::ranges::any_of(plan.cached, [](std::size_t tokens) { return tokens != 0; });
  if (plan.lengths == lengths_ && plan.shape.layers == layers_.size() && !cached) return;
  throw bad_input{
      "", "frozen block",
      "the recorded run: " + detail::lengths_in_words(lengths_) + ", " + std::to_string(layers_.size()) + " layers",
      detail::lengths_in_words(plan.lengths) + (cached ? " after cached ones, " : ", ") +
          std::to_string(plan.shape.layers) + " layers"};
}

#ifdef OPTSCOPE_COMPILED
template class frozen_activations<float>;
template class frozen_activations<double>;
namespace detail {
template void apply_gates(tensor_view<const float, 2>, std::size_t, float, tensor_view<float, 2>);
template void apply_gates(tensor_view<const double, 2>, std::size_t, double, tensor_view<double, 2>);
}  // namespace detail
#endif

}  // namespace optscope
