// SPDX-License-Identifier: MIT
#pragma once
// Which tensors a model of a given architecture reads, and which ones of a checkpoint it has no place for.

#include <algorithm>
#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// Name and shape of a tensor, linear maps as [out, in].
struct named_shape {
  std::string name;
  std::vector<std::size_t> shape;
};

/// The tensors of a model by the names that `checkpoint` gives them, layer by layer; with `lm_head.weight`, which tied
/// models may lack.
[[nodiscard]] inline std::vector<named_shape> tensors_of(const architecture& shape) {
  const std::size_t hidden = shape.hidden, narrow = shape.embed_dim;
  std::vector<named_shape> all{{"decoder.embed_tokens.weight", {shape.vocabulary, narrow}},
                               {"decoder.embed_positions.weight", {shape.max_positions + 2, hidden}}};
  const auto linear = [&](const std::string& name, std::size_t out, std::size_t in) {
    all.push_back({name + ".weight", {out, in}});
    if (shape.bias) all.push_back({name + ".bias", {out}});
  };
  const auto norm = [&](const std::string& name) {
    if (!shape.affine_layer_norm) return;
    all.push_back({name + ".weight", {hidden}});
    all.push_back({name + ".bias", {hidden}});
  };
  if (narrow != hidden) all.push_back({"decoder.project_in.weight", {hidden, narrow}});
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    const std::string prefix = "decoder.layers." + std::to_string(layer) + ".";
    norm(prefix + "self_attn_layer_norm");
    for (const char* map : {"q_proj", "k_proj", "v_proj", "out_proj"}) {
      linear(prefix + "self_attn." + map, hidden, hidden);
    }
    norm(prefix + "final_layer_norm");
    linear(prefix + "fc1", shape.ffn, hidden);
    linear(prefix + "fc2", hidden, shape.ffn);
  }
  if (shape.final_layer_norm) norm("decoder.final_layer_norm");
  if (narrow != hidden) all.push_back({"decoder.project_out.weight", {narrow, hidden}});
  all.push_back({"lm_head.weight", {shape.vocabulary, narrow}});
  return all;
}

/// The names of tensors in the files that the model does not use: leftovers of training, or a sign that config.json is
/// another model's. Those that an index does not list are `FILE: NAME`. Missing ones are refused when the model is
/// made.
[[nodiscard]] inline std::vector<std::string> extra_tensors(const checkpoint& files, const architecture& shape) {
  std::vector<std::string> used, extra;
  for (named_shape& each : tensors_of(shape)) used.push_back(std::move(each.name));
  std::sort(used.begin(), used.end());
  for (const auto& names : {files.names(), files.unsupported()}) {
    std::set_difference(names.begin(), names.end(), used.begin(), used.end(), std::back_inserter(extra));
  }
  std::sort(extra.begin(), extra.end());
  extra.insert(extra.end(), files.unlisted().begin(), files.unlisted().end());
  return extra;
}

}  // namespace optscope
