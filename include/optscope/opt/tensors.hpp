// SPDX-License-Identifier: MIT
#pragma once
// The table of tensors: names, shapes and roles of all that a model reads from a checkpoint.

#include <array>
#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// What a tensor is for.
enum class tensor_role {
  token_embedding,
  position_embedding,
  project_in,
  ln1,
  q,
  k,
  v,
  attention_out,
  ln2,
  fc1,
  fc2,
  final_norm,
  project_out,
  unembedding
};

/// What an axis of a tensor counts.
enum class tensor_axis {
  none,
  hidden,
  embed_dim,
  vocabulary,
  positions,  ///< max_positions + 2: OPT's table has two rows before that of position 0
  heads,      ///< heads x head_dim
  neurons
};

/// A row of the table. Linear maps are [out, in]: (rows, columns); a LayerNorm has no columns. Each has a `.weight`,
/// those of the layers and the final LayerNorm also a `.bias` of `rows` elements where the architecture has biases.
struct tensor_kind {
  tensor_role role;
  std::string_view name;  ///< in a layer: what follows `decoder.layers.N.`
  tensor_axis rows, columns;

  [[nodiscard]] constexpr bool in_layer() const noexcept {
    return role >= tensor_role::ln1 && role <= tensor_role::fc2;
  }
  [[nodiscard]] constexpr bool is_norm() const noexcept { return columns == tensor_axis::none; }
};

/// Every kind of tensor, in the order of a forward pass.
inline constexpr std::array<tensor_kind, 14> tensor_kinds{{
    {tensor_role::token_embedding, "decoder.embed_tokens", tensor_axis::vocabulary, tensor_axis::embed_dim},
    {tensor_role::position_embedding, "decoder.embed_positions", tensor_axis::positions, tensor_axis::hidden},
    {tensor_role::project_in, "decoder.project_in", tensor_axis::hidden, tensor_axis::embed_dim},
    {tensor_role::ln1, "self_attn_layer_norm", tensor_axis::hidden, tensor_axis::none},
    {tensor_role::q, "self_attn.q_proj", tensor_axis::heads, tensor_axis::hidden},
    {tensor_role::k, "self_attn.k_proj", tensor_axis::heads, tensor_axis::hidden},
    {tensor_role::v, "self_attn.v_proj", tensor_axis::heads, tensor_axis::hidden},
    {tensor_role::attention_out, "self_attn.out_proj", tensor_axis::hidden, tensor_axis::heads},
    {tensor_role::ln2, "final_layer_norm", tensor_axis::hidden, tensor_axis::none},
    {tensor_role::fc1, "fc1", tensor_axis::neurons, tensor_axis::hidden},
    {tensor_role::fc2, "fc2", tensor_axis::hidden, tensor_axis::neurons},
    {tensor_role::final_norm, "decoder.final_layer_norm", tensor_axis::hidden, tensor_axis::none},
    {tensor_role::project_out, "decoder.project_out", tensor_axis::embed_dim, tensor_axis::hidden},
    {tensor_role::unembedding, "lm_head", tensor_axis::vocabulary, tensor_axis::embed_dim},
}};

/// Heads and neurons of each layer, which pruned checkpoints may have in different numbers.
struct layer_sizes {
  std::vector<std::size_t> heads, neurons;  ///< [layer]
};
[[nodiscard]] layer_sizes layer_sizes_of(const config& from, const architecture& shape);

/// A tensor of a model.
struct model_tensor {
  std::string name;                ///< as `checkpoint` names it
  std::vector<std::size_t> shape;  ///< (rows, columns), or (rows) for LayerNorms and biases
  const tensor_kind* kind;
  std::size_t layer;  ///< 0 outside the layers
  bool bias;
};

/// True if a model of this architecture has the tensor, or for `bias` its bias.
[[nodiscard]] bool has_tensor(const architecture& shape, tensor_role role, bool bias = false);

/// One tensor of a model that has it; `layer` counts only for the tensors of layers.
[[nodiscard]] model_tensor tensor_of(const architecture& shape, const layer_sizes& sizes, tensor_role role,
                                     std::size_t layer = 0, bool bias = false);

/// All tensors of a model, in the order of a forward pass; with `lm_head.weight`, which tied models may lack.
[[nodiscard]] std::vector<model_tensor> tensors_of(const architecture& shape, const layer_sizes& sizes);

/// The tensor in the files. Throws `checkpoint_error` if it is missing or has another shape. An embedding is looked for
/// where `checkpoint::embedding` and `unembedding` do.
[[nodiscard]] const stored_tensor& require_tensor(const checkpoint& files, const model_tensor& wanted);

/// Throws `checkpoint_error` if layers differ in their neurons or heads; `why` such as "for Jacobians".
void require_even_layers(const checkpoint& files, const std::string& why);

/// The names of tensors in the files that the model does not use: leftovers of training, or a sign that config.json
/// belongs to another model. Those that an index does not list are `FILE: NAME`. (Missing tensors are refused when the
/// model is made.)
[[nodiscard]] std::vector<std::string> extra_tensors(const checkpoint& files, const architecture& shape);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/tensors.ipp>
#endif
