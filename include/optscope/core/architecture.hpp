// SPDX-License-Identifier: MIT
#pragma once
// The numbers that make one OPT model differ from another.

#include <cstddef>

namespace optscope {

/// Nonlinearity between the two matrices of the MLP, by its name in config.json.
enum class activation { relu, gelu, gelu_tanh, silu, tanh, sigmoid, identity };

/// Sizes and switches of a model, named after config.json.
///
/// A literal type: the variants `opt_125m` … carry one as a constant, `any_opt` gets its own from the checkpoint.
struct architecture {
  std::size_t layers = 12;           ///< num_hidden_layers
  std::size_t hidden = 768;          ///< hidden_size: width of the residual stream
  std::size_t heads = 12;            ///< num_attention_heads
  std::size_t ffn = 3072;            ///< ffn_dim: neurons of one MLP
  std::size_t embed_dim = 768;       ///< word_embed_proj_dim: width of the token embedding
  std::size_t vocabulary = 50272;    ///< vocab_size: rows of the embedding, some of which may have no token
  std::size_t max_positions = 2048;  ///< max_position_embeddings
  bool pre_layer_norm = true;        ///< do_layer_norm_before: false only for 350m
  bool final_layer_norm = true;      ///< a LayerNorm after the last layer
  bool bias = true;                  ///< enable_bias: biases of the linear maps
  bool affine_layer_norm = true;     ///< layer_norm_elementwise_affine
  activation nonlinearity = activation::relu;

  [[nodiscard]] constexpr std::size_t head_dim() const noexcept { return hidden / heads; }

  friend constexpr bool operator==(const architecture&, const architecture&) = default;
};

}  // namespace optscope
