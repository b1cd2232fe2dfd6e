// SPDX-License-Identifier: MIT
#pragma once
// How much memory the weights of a model take.

#include <cstddef>
#include <optscope/core/architecture.hpp>

namespace optscope {

/// Bytes of the weight matrices of all layers and of the token embedding, with elements of `element_size` bytes.
/// Biases, LayerNorms and positions, a small share, are not counted.
[[nodiscard]] constexpr std::size_t weight_memory(const architecture& shape, std::size_t element_size) noexcept {
  const std::size_t layer = shape.hidden * (4 * shape.hidden + 2 * shape.ffn);
  return element_size * (shape.layers * layer + shape.vocabulary * shape.embed_dim);
}

}  // namespace optscope
