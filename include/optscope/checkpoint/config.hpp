// SPDX-License-Identifier: MIT
#pragma once
// config.json of an OPT checkpoint.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tokens.hpp>
#include <string>
#include <vector>

namespace optscope {

/// The values of config.json under its names, with the defaults of transformers' `OPTConfig`. Keys that do not affect
/// inference are left out.
struct config {
  std::size_t hidden_size = 768;
  std::size_t num_hidden_layers = 12;
  std::size_t num_attention_heads = 12;  ///< divides hidden_size
  std::size_t ffn_dim = 3072;
  /// Neurons and heads of each layer if layers differ (`write_pruned` writes such models, which transformers cannot
  /// read); empty otherwise.
  std::vector<std::size_t> ffn_dims{}, attention_heads{};
  std::size_t word_embed_proj_dim = 768;       ///< width of the embedding; hidden_size if null or absent
  std::size_t vocab_size = 50272;              ///< rows of the embedding; some may have no token
  std::size_t max_position_embeddings = 2048;  ///< longest text; the table has two more rows
  bool do_layer_norm_before = true;
  bool remove_final_layer_norm = false;  ///< key `_remove_final_layer_norm`
  bool enable_bias = true;
  bool layer_norm_elementwise_affine = true;
  bool tie_word_embeddings = true;
  std::string activation_function = "relu";
  std::optional<token_id> bos_token_id = 2;   ///< null or negative in the file: no such token
  std::vector<token_id> eos_token_ids = {2};  ///< key `eos_token_id`: a number, a list or null
  std::optional<token_id> pad_token_id = 1;
  std::string torch_dtype;  ///< key `dtype` or, older, `torch_dtype`, as in the file; empty if absent

  [[nodiscard]] std::size_t head_dim() const noexcept { return hidden_size / num_attention_heads; }
  /// Whether layers differ in their neurons or heads.
  [[nodiscard]] bool uneven() const noexcept { return !ffn_dims.empty() || !attention_heads.empty(); }
  [[nodiscard]] bool has_projection() const noexcept { return word_embed_proj_dim != hidden_size; }
  [[nodiscard]] bool has_final_layer_norm() const noexcept { return do_layer_norm_before && !remove_final_layer_norm; }
};

/// Reads `folder/config.json`; no weights are needed. Throws `file_error` if there is no such file. Throws
/// `checkpoint_error`, naming the key, if it is not JSON, not of model type "opt", or has a duplicate key, a value of
/// the wrong type or an impossible size. Keys that `OPTConfig` does not know are ignored, as transformers does.
[[nodiscard]] config read_config(const std::filesystem::path& folder);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/config.ipp>
#endif
