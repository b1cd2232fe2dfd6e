// SPDX-License-Identifier: MIT
#pragma once
// Bodies of architecture.hpp.

#include <optscope/core/architecture.hpp>

namespace optscope {
namespace detail {
inline const char* nonlinearity_text(activation of) {
  switch (of) {
    case activation::relu: return "relu";
    case activation::gelu: return "gelu";
    case activation::gelu_tanh: return "gelu_tanh";
    case activation::gelu_fast: return "gelu_fast";
    case activation::gelu_10: return "gelu_10";
    case activation::quick_gelu: return "quick_gelu";
    case activation::silu: return "silu";
    case activation::mish: return "mish";
    case activation::leaky_relu: return "leaky_relu";
    case activation::relu6: return "relu6";
    case activation::relu2: return "relu2";
    case activation::hardswish: return "hardswish";
    case activation::laplace: return "laplace";
    case activation::sqrtsoftplus: return "sqrtsoftplus";
    case activation::tanh: return "tanh";
    case activation::sigmoid: return "sigmoid";
    case activation::identity: return "identity";
  }
  return "unknown";
}
}  // namespace detail

OPTSCOPE_INLINE std::string describe(const architecture& shape) {
  const auto number = [](std::size_t value) { return std::to_string(value); };
  return number(shape.layers) + " layers, hidden " + number(shape.hidden) + ", " + number(shape.heads) +
         " heads, ffn " + number(shape.ffn) + " (" + detail::nonlinearity_text(shape.nonlinearity) + "), embedding " +
         number(shape.embed_dim) + ", " + number(shape.max_positions) + " positions, LayerNorm " +
         (shape.pre_layer_norm ? "before" : "after") + " each block" +
         (shape.final_layer_norm ? " and at the end" : "") + (shape.bias ? "" : ", no biases") +
         (shape.affine_layer_norm ? "" : ", LayerNorm without weights");
}

}  // namespace optscope
