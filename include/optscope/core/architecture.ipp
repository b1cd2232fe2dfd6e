// SPDX-License-Identifier: MIT
#pragma once
// Bodies of architecture.hpp.

#include <optscope/core/architecture.hpp>

namespace optscope {

OPTSCOPE_INLINE std::string describe(const architecture& shape) {
  const auto number = [](std::size_t value) { return std::to_string(value); };
  return number(shape.layers) + " layers, hidden " + number(shape.hidden) + ", " + number(shape.heads) +
         " heads, ffn " + number(shape.ffn) + ", embedding " + number(shape.embed_dim) + ", " +
         number(shape.max_positions) + " positions, LayerNorm " + (shape.pre_layer_norm ? "before" : "after") +
         " each block" + (shape.final_layer_norm ? " and at the end" : "") + (shape.bias ? "" : ", no biases") +
         (shape.affine_layer_norm ? "" : ", LayerNorm without weights");
}

}  // namespace optscope
