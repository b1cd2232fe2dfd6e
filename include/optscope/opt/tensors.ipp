// SPDX-License-Identifier: MIT
#pragma once
// Bodies of tensors.hpp.

#include <algorithm>
#include <cassert>
#include <iterator>
#include <optscope/opt/tensors.hpp>

namespace optscope {
namespace detail {

inline const tensor_kind& kind_of(tensor_role role) {
  const tensor_kind& kind = tensor_kinds[static_cast<std::size_t>(role)];
  assert(kind.role == role);
  return kind;
}

inline std::size_t extent_of(const architecture& shape, const layer_sizes& sizes, tensor_axis axis, std::size_t layer) {
  switch (axis) {
    case tensor_axis::hidden: return shape.hidden;
    case tensor_axis::embed_dim: return shape.embed_dim;
    case tensor_axis::vocabulary: return shape.vocabulary;
    case tensor_axis::positions: return shape.max_positions + 2;
    case tensor_axis::heads: return sizes.heads[layer] * shape.head_dim();
    case tensor_axis::neurons: return sizes.neurons[layer];
    case tensor_axis::none: break;
  }
  return 1;
}

inline std::string in_brackets(const std::vector<std::size_t>& extents) {
  std::string text = "shape [";
  for (std::size_t i = 0; i < extents.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(extents[i]);
  return text + "]";
}

}  // namespace detail

OPTSCOPE_INLINE layer_sizes layer_sizes_of(const config& from, const architecture& shape) {
  layer_sizes sizes{.heads = from.attention_heads, .neurons = from.ffn_dims};  // empty where all layers are alike
  sizes.heads.resize(shape.layers, shape.heads);
  sizes.neurons.resize(shape.layers, shape.ffn);
  return sizes;
}

OPTSCOPE_INLINE bool has_tensor(const architecture& shape, tensor_role role, bool bias) {
  const tensor_kind& kind = detail::kind_of(role);
  const bool projection = role == tensor_role::project_in || role == tensor_role::project_out;
  if (role == tensor_role::final_norm && !shape.final_layer_norm) return false;
  if (projection && shape.embed_dim == shape.hidden) return false;
  if (kind.is_norm()) return shape.affine_layer_norm;
  return !bias || (kind.in_layer() && shape.bias);
}

OPTSCOPE_INLINE model_tensor tensor_of(const architecture& shape, const layer_sizes& sizes, tensor_role role,
                                       std::size_t layer, bool bias) {
  const tensor_kind& kind = detail::kind_of(role);
  model_tensor result{.name = kind.in_layer() ? "decoder.layers." + std::to_string(layer) + "." : "",
                      .shape = {detail::extent_of(shape, sizes, kind.rows, layer)},
                      .kind = &kind,
                      .layer = kind.in_layer() ? layer : 0,
                      .bias = bias};
  result.name += std::string{kind.name} + (bias ? ".bias" : ".weight");
  if (!bias && !kind.is_norm()) result.shape.push_back(detail::extent_of(shape, sizes, kind.columns, layer));
  return result;
}

OPTSCOPE_INLINE std::vector<model_tensor> tensors_of(const architecture& shape, const layer_sizes& sizes) {
  std::vector<model_tensor> all;
  const auto add = [&](const tensor_kind& kind, std::size_t layer) {
    for (const bool bias : {false, true}) {
      if (has_tensor(shape, kind.role, bias)) all.push_back(tensor_of(shape, sizes, kind.role, layer, bias));
    }
  };
  const auto before = [](const tensor_kind& kind) { return kind.role < tensor_role::ln1; };
  const auto after = [](const tensor_kind& kind) { return kind.role > tensor_role::fc2; };
  for (const tensor_kind& kind : tensor_kinds) {
    if (before(kind)) add(kind, 0);
  }
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    for (const tensor_kind& kind : tensor_kinds) {
      if (kind.in_layer()) add(kind, layer);
    }
  }
  for (const tensor_kind& kind : tensor_kinds) {
    if (after(kind)) add(kind, 0);
  }
  return all;
}

OPTSCOPE_INLINE const stored_tensor& require_tensor(const checkpoint& files, const model_tensor& wanted) {
  const stored_tensor& found = wanted.kind->role == tensor_role::token_embedding ? files.embedding()
                               : wanted.kind->role == tensor_role::unembedding   ? files.unembedding()
                                                                                 : files.at(wanted.name);
  if (found.shape() == wanted.shape) return found;
  throw checkpoint_error{found.file().string(), "tensor " + found.name(), detail::in_brackets(wanted.shape),
                         detail::in_brackets(found.shape())};
}

OPTSCOPE_INLINE void require_even_layers(const checkpoint& files, const std::string& why) {
  if (!files.configuration().uneven()) return;
  throw checkpoint_error{(files.folder() / "config.json").string(), "ffn_dims, attention_heads",
                         "layers of one size, " + why, "a size for each layer"};
}

OPTSCOPE_INLINE std::vector<std::string> extra_tensors(const checkpoint& files, const architecture& shape) {
  std::vector<std::string> used, extra;
  for (const model_tensor& each : tensors_of(shape, layer_sizes_of(files.configuration(), shape))) {
    used.push_back(each.name);
  }
  std::sort(used.begin(), used.end());
  for (const auto& names : {files.names(), files.unsupported()}) {
    std::set_difference(names.begin(), names.end(), used.begin(), used.end(), std::back_inserter(extra));
  }
  std::sort(extra.begin(), extra.end());
  extra.insert(extra.end(), files.unlisted().begin(), files.unlisted().end());
  return extra;
}

}  // namespace optscope
