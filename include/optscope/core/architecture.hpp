// SPDX-License-Identifier: MIT
#pragma once
// The numbers that make one OPT model differ from another.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <string>

namespace optscope {

/// Nonlinearity between the two matrices of the MLP. Some of them have several names in config.json.
enum class activation {
  relu,          ///< max(x, 0)
  gelu,          ///< x Φ(x)
  gelu_tanh,     ///< gelu approximated by tanh
  gelu_fast,     ///< gelu_tanh with the constant sqrt(2/π) cut to ten digits
  gelu_10,       ///< gelu, clipped to [-10, 10]
  quick_gelu,    ///< x sigmoid(1.702 x)
  silu,          ///< x sigmoid(x)
  mish,          ///< x tanh(log(1 + exp(x)))
  leaky_relu,    ///< 0.01 x below 0
  relu6,         ///< min(max(x, 0), 6)
  relu2,         ///< max(x, 0)²
  hardswish,     ///< x min(max(x + 3, 0), 6) / 6
  laplace,       ///< (1 + erf((x - 0.707107) / (0.282095 sqrt(2)))) / 2
  sqrtsoftplus,  ///< sqrt(log(1 + exp(x)))
  tanh,
  sigmoid,
  identity
};

/// Sizes and switches of a model, named after config.json.
///
/// A literal type: the variants `opt_125m` … carry one as a constant, `any_opt` gets its own from the checkpoint.
struct architecture {
  std::size_t layers = 12;           ///< num_hidden_layers
  std::size_t hidden = 768;          ///< hidden_size: width of the residual stream
  std::size_t heads = 12;            ///< num_attention_heads
  std::size_t ffn = 3072;            ///< ffn_dim: neurons of one MLP
  std::size_t embed_dim = 768;       ///< word_embed_proj_dim: width of the token embedding
  std::size_t vocabulary = 50272;    ///< vocab_size: rows of the embedding; some may have no token
  std::size_t max_positions = 2048;  ///< max_position_embeddings
  bool pre_layer_norm = true;        ///< do_layer_norm_before: false only for 350m
  bool final_layer_norm = true;      ///< a LayerNorm after the last layer
  bool bias = true;                  ///< enable_bias: biases of the linear maps
  bool affine_layer_norm = true;     ///< layer_norm_elementwise_affine
  activation nonlinearity = activation::relu;

  [[nodiscard]] constexpr std::size_t head_dim() const noexcept { return hidden / heads; }

  friend constexpr bool operator==(const architecture&, const architecture&) = default;
};

/// The architecture in words: `12 layers, hidden 768, 12 heads, ffn 3072 (relu), …`.
[[nodiscard]] std::string describe(const architecture& shape);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/architecture.ipp>
#endif
