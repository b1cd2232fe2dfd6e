// SPDX-License-Identifier: MIT
#pragma once
// Bodies of variants.hpp.

#include <array>
#include <cstddef>
#include <optscope/core/errors.hpp>
#include <optscope/opt/variants.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE std::span<const std::pair<std::string_view, activation>> activation_names() {
  static constexpr std::array<std::pair<std::string_view, activation>, 22> names{
      {{"relu", activation::relu},
       {"gelu", activation::gelu},
       {"gelu_10", activation::gelu_10},
       {"gelu_accurate", activation::gelu_tanh},
       {"gelu_fast", activation::gelu_fast},
       {"gelu_new", activation::gelu_tanh},
       {"gelu_python", activation::gelu},
       {"gelu_python_tanh", activation::gelu_tanh},
       {"gelu_pytorch_tanh", activation::gelu_tanh},
       {"hardswish", activation::hardswish},
       {"laplace", activation::laplace},
       {"leaky_relu", activation::leaky_relu},
       {"linear", activation::identity},
       {"mish", activation::mish},
       {"quick_gelu", activation::quick_gelu},
       {"relu2", activation::relu2},
       {"relu6", activation::relu6},
       {"sigmoid", activation::sigmoid},
       {"silu", activation::silu},
       {"sqrtsoftplus", activation::sqrtsoftplus},
       {"swish", activation::silu},
       {"tanh", activation::tanh}}};
  return names;
}

OPTSCOPE_INLINE activation activation_of(const std::string& name, const std::string& file) {
  std::string names;
  for (const auto& [key, kind] : activation_names()) {
    if (key == name) return kind;
    names += (names.empty() ? "" : ", ") + std::string{key};
  }
  throw checkpoint_error{file, "activation_function", "one of " + names, name};
}

OPTSCOPE_INLINE architecture architecture_of(const config& from, const std::string& file) {
  return {.layers = from.num_hidden_layers,
          .hidden = from.hidden_size,
          .heads = from.num_attention_heads,
          .ffn = from.ffn_dim,
          .embed_dim = from.word_embed_proj_dim,
          .vocabulary = from.vocab_size,
          .max_positions = from.max_position_embeddings,
          .pre_layer_norm = from.do_layer_norm_before,
          .final_layer_norm = from.has_final_layer_norm(),
          .bias = from.enable_bias,
          .affine_layer_norm = from.layer_norm_elementwise_affine,
          .nonlinearity = activation_of(from.activation_function, file)};
}

OPTSCOPE_INLINE void require_variant(architecture found, const architecture& shape, std::string_view name,
                                     const std::string& file) {
  const std::size_t rows = found.vocabulary;
  found.vocabulary = shape.vocabulary;
  if (found == shape) return;
  found.vocabulary = rows;
  throw checkpoint_error{file, "architecture", std::string{name} + " (" + describe(shape) + ")", describe(found)};
}

}  // namespace optscope
