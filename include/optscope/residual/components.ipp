// SPDX-License-Identifier: MIT
#pragma once
// Bodies of components.hpp.

#include <algorithm>
#include <optscope/residual/components.hpp>

namespace optscope {

OPTSCOPE_INLINE std::string name_of(const stream_component& component) {
  const std::string layer = std::to_string(component.layer) + ".", index = std::to_string(component.index);
  switch (component.kind) {
    case component_kind::embed: return "embed";
    case component_kind::pos_embed: return "pos_embed";
    case component_kind::head: return layer + "head." + index;
    case component_kind::attn_bias: return layer + "attn_bias";
    case component_kind::mlp: return layer + "mlp";
    case component_kind::neuron: return layer + "neuron." + index;
    case component_kind::mlp_bias: return layer + "mlp_bias";
    case component_kind::ln_final_bias: break;
  }
  return "ln_final_bias";
}

OPTSCOPE_INLINE std::vector<stream_component> stream_components(const architecture& shape, const layer_sizes& sizes,
                                                                const stream_part& part, const std::string& model) {
  if (!shape.pre_layer_norm) {
    throw bad_input{model, "components of the stream", "a model whose LayerNorms precede the blocks",
                    "LayerNorms after them (do_layer_norm_before is false): its stream is not a sum of components"};
  }
  const auto require = [&](std::size_t number, std::size_t most, const char* what) {
    if (number <= most) return;
    throw bad_input{model, what, "at most " + std::to_string(most), std::to_string(number)};
  };
  const std::size_t layers = part.layers.value_or(shape.layers);
  require(layers, shape.layers, "layers of a stream");
  for (const std::size_t layer : part.neurons_of) require(layer + 1, layers, "layers up to one with neurons");
  std::vector<stream_component> all{{.kind = component_kind::embed}, {.kind = component_kind::pos_embed}};
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const auto add = [&](component_kind kind, std::size_t count) {
      for (std::size_t i = 0; i < count; ++i) all.push_back({.kind = kind, .layer = layer, .index = i});
    };
    const bool split = std::ranges::count(part.neurons_of, layer) != 0;
    add(component_kind::head, sizes.heads[layer]);
    add(component_kind::attn_bias, 1);
    if (split) add(component_kind::neuron, sizes.neurons[layer]);
    add(split ? component_kind::mlp_bias : component_kind::mlp, 1);
  }
  return all;
}

namespace detail {

template <class T>
component_weights<T> component_weights_of(const layer_weights<T>& layer, bool split) {
  const std::size_t hidden = layer.out.weight.rows(), neurons = layer.fc2.weight.cols();
  component_weights<T> result;
  const auto copied = [&](const T* bias) {
    return bias == nullptr ? std::vector<T>(hidden) : std::vector<T>(bias, bias + hidden);
  };
  result.attn_bias = copied(layer.out.bias);
  if (!split) return result;
  result.mlp_bias = copied(layer.fc2.bias);
  result.neurons.resize({neurons, hidden});
  std::vector<T> row(neurons);
  for (std::size_t i = 0; i < hidden; ++i) {
    layer.fc2.weight.copy_rows(i, 1, row.data());
    for (std::size_t neuron = 0; neuron < neurons; ++neuron) result.neurons(neuron, i) = row[neuron];
  }
  return result;
}

template <class T>
void component_probe<T>::find_first(const std::vector<std::size_t>& neurons_of) {
  split_.assign(layers_, false);
  for (const std::size_t layer : neurons_of) split_[layer] = true;
  std::size_t next = 2;
  for (std::size_t layer = 0; layer < layers_; ++layer) {
    first_.push_back(next);
    while (next < components_.size() && components_[next].layer == layer) ++next;
  }
  first_.push_back(next);
}

template <class T>
void component_probe<T>::begin(const run_plan& plan) {
  chosen_.clear();
  offset_.assign(1, 0);
  for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
    chosen_.push_back(where_.in(plan, text));
    offset_.push_back(offset_.back() + chosen_.back().size());
  }
}

template <class T>
std::size_t component_probe<T>::first_wanted(std::size_t text) const {
  const std::vector<std::size_t>& chosen = chosen_[text];
  return chosen.empty() ? std::size_t(-1) : *std::ranges::min_element(chosen);
}

template <class T>
template <class Action>
void component_probe<T>::for_rows(const place& at, std::size_t count, Action&& action) const {
  const std::vector<std::size_t>& chosen = chosen_[at.text];
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    if (chosen[i] >= at.first_position && chosen[i] - at.first_position < count) {
      action(chosen[i] - at.first_position, offset_[at.text] + i);
    }
  }
}

template <class T>
void component_probe<T>::take(std::size_t component, const place& at, tensor_view<const T, 2> rows) {
  for_rows(at, rows.rows(), [&](std::size_t row, std::size_t vector) { take_(component, vector, rows.row(row)); });
}

template <class T>
void component_probe<T>::operator()(site::result, const place& at, tensor_view<const T, 3> by_head) {
  const std::size_t heads = by_head.extent(1), hidden = by_head.extent(2), first = first_[at.layer];
  for_rows(at, by_head.rows(), [&](std::size_t row, std::size_t vector) {
    for (std::size_t head = 0; head < heads; ++head) {
      take_(first + head, vector, by_head.row(row).subspan(head * hidden, hidden));
    }
    take_(first + heads, vector, weights_[at.layer].attn_bias);
  });
}

template <class T>
void component_probe<T>::operator()(site::mlp_post, const place& at, tensor_view<const T, 2> neurons) {
  const component_weights<T>& weights = weights_[at.layer];
  const std::size_t first = first_[at.layer + 1] - 1 - neurons.cols();
  std::vector<T> added(weights.mlp_bias.size());  // (hidden)
  for_rows(at, neurons.rows(), [&](std::size_t row, std::size_t vector) {
    for (std::size_t neuron = 0; neuron < neurons.cols(); ++neuron) {
      const T active = neurons(row, neuron);
      const std::span<const T> direction = weights.neurons.row(neuron);
      for (std::size_t i = 0; i < added.size(); ++i) added[i] = active * direction[i];
      take_(first + neuron, vector, added);
    }
    take_(first_[at.layer + 1] - 1, vector, weights.mlp_bias);
  });
}

#ifdef OPTSCOPE_COMPILED
template component_weights<float> component_weights_of(const layer_weights<float>&, bool);
template component_weights<double> component_weights_of(const layer_weights<double>&, bool);
template class component_probe<float>;
template class component_probe<double>;
#endif

}  // namespace detail
}  // namespace optscope
