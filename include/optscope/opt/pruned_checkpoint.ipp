// SPDX-License-Identifier: MIT
#pragma once
// Bodies of pruned_checkpoint.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <numeric>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/opt/pruned_checkpoint.hpp>
#include <optscope/opt/tensors.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// The inner parts of an MLP (its neurons) or of attention (the rows of its heads, side by side): which stay, which go.
struct cut_parts {
  std::size_t whole;                    // number of parts before
  std::vector<std::size_t> kept, gone;  // ascending
  const std::vector<float>& values;     // constants in the place of those that go; empty: zeros

  /// `gone`: units of `width` parts each.
  cut_parts(std::size_t count, const std::vector<std::size_t>& units, std::size_t width,
            const std::vector<float>& constants)
      : whole{count}, values{constants} {
    for (std::size_t i = 0; i < count; ++i) {
      (std::binary_search(units.begin(), units.end(), i / width) ? gone : kept).push_back(i);
    }
    for (std::size_t i = 0; kept.size() < width; ++i) kept.push_back(i);  // no matrix is empty
  }

  /// Nothing is cut out; what would go is zero.
  void keep_all() {
    kept.resize(whole);
    std::iota(kept.begin(), kept.end(), std::size_t{0});
  }
  /// What is left of an array (outer, part, inner).
  [[nodiscard]] std::vector<float> pick(const std::vector<float>& from, std::size_t inner) const {
    const std::size_t outer = from.size() / whole / inner;
    std::vector<float> result;
    result.reserve(outer * kept.size() * inner);
    for (std::size_t o = 0; o < outer; ++o) {
      for (const std::size_t i : kept) {
        const auto first = from.begin() + static_cast<std::ptrdiff_t>((o * whole + i) * inner);
        result.insert(result.end(), first, first + static_cast<std::ptrdiff_t>(inner));
      }
    }
    return result;
  }
  /// Sets the columns of what goes to zero: weight (row, part).
  void clear_columns(std::vector<float>& weight) const {
    for (std::size_t begin = 0; begin < weight.size(); begin += whole) {
      for (const std::size_t i : gone) weight[begin + i] = 0;
    }
  }
  /// Adds to a bias (row) what the constants give through weight (row, part).
  void add_constants(const std::vector<float>& weight, std::vector<float>& bias) const {
    for (std::size_t row = 0; !values.empty() && row < bias.size(); ++row) {
      double sum = static_cast<double>(bias[row]);
      for (std::size_t i = 0; i < gone.size(); ++i) {
        sum += static_cast<double>(values[i]) * static_cast<double>(weight[row * whole + gone[i]]);
      }
      bias[row] = static_cast<float>(sum);
    }
  }
};

}  // namespace detail

OPTSCOPE_INLINE bool write_pruned(const checkpoint& files, const architecture& shape, const removal& what,
                                  const std::filesystem::path& folder) {
  if (what.directions() != 0) {
    throw bad_input{"", "a smaller checkpoint", "neurons and heads to remove",
                    std::to_string(what.directions()) + " directions of the stream, which no weight holds"};
  }
  struct layer_parts {
    detail::cut_parts neurons, heads;
  };
  const layer_sizes sizes = layer_sizes_of(files.configuration(), shape);
  const std::size_t head_dim = shape.head_dim();
  std::vector<layer_parts> layers;
  std::vector<std::size_t> neurons, heads;  // [layer]: how many are left
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    const layer_removal& gone = what.layers.at(layer);
    if (!shape.bias && (!gone.neuron_values.empty() || !gone.head_values.empty())) {
      throw bad_input{files.folder().string(), "", "a model with biases, to put the constants there", "one without"};
    }
    layers.push_back({.neurons = {sizes.neurons[layer], gone.neurons, 1, gone.neuron_values},
                      .heads = {sizes.heads[layer] * head_dim, gone.heads, head_dim, gone.head_values}});
    require_parts(gone, sizes.neurons[layer], sizes.heads[layer]);
    neurons.push_back(layers.back().neurons.kept.size());
    heads.push_back(layers.back().heads.kept.size() / head_dim);
  }
  const auto even = [](const std::vector<std::size_t>& counts) {
    return std::adjacent_find(counts.begin(), counts.end(), std::not_equal_to<>{}) == counts.end();
  };
  const bool for_transformers = even(neurons) && files.configuration().attention_heads.empty();
  for (std::size_t layer = 0; for_transformers && layer < shape.layers; ++layer) {
    layers[layer].heads.keep_all();
    heads[layer] = shape.heads;
  }

  // The parts that a tensor has, in its columns or in its rows.
  struct place_of_parts {
    const detail::cut_parts* parts = nullptr;
    bool columns = false;
  };
  std::map<std::string, model_tensor> table;
  for (model_tensor& tensor : tensors_of(shape, sizes)) table.emplace(tensor.name, tensor);
  const auto find = [&](const std::string& name) -> place_of_parts {
    const auto found = table.find(name);
    if (found == table.end() || !found->second.kind->in_layer()) return {};
    const model_tensor& tensor = found->second;
    const auto counted_by = [&](tensor_axis axis) -> const detail::cut_parts* {
      if (axis == tensor_axis::neurons) return &layers[tensor.layer].neurons;
      if (axis == tensor_axis::heads) return &layers[tensor.layer].heads;
      return nullptr;
    };
    if (const auto* const parts = counted_by(tensor.kind->rows)) return {.parts = parts, .columns = false};
    return {.parts = counted_by(tensor.kind->columns), .columns = true};
  };
  const auto values_of = [&](const std::string& name) {
    std::vector<float> values(files.at(name).size());
    files.at(name).copy_to(values.data());
    return values;
  };
  std::vector<safetensors_item> items;
  const std::vector<std::string> names = files.names();
  for (const std::string& name : names) {
    std::vector<std::size_t> extents = files.at(name).shape();
    const auto [parts, columns] = find(name);
    if (parts != nullptr && !(columns && extents.size() == 1)) extents[columns ? 1 : 0] = parts->kept.size();
    items.push_back({(name.starts_with("decoder.") ? "model." : "") + name, std::move(extents)});
  }
  std::filesystem::create_directories(folder);
  safetensors_writer out{folder / "model.safetensors", items};
  for (const std::string& name : names) {
    std::vector<float> values = values_of(name);
    const auto [parts, columns] = find(name);
    if (parts != nullptr && !columns) {
      values = parts->pick(values, files.at(name).row_size());
    } else if (parts != nullptr && name.ends_with(".bias")) {
      parts->add_constants(values_of(name.substr(0, name.size() - 4) + "weight"), values);
    } else if (parts != nullptr) {
      parts->clear_columns(values);
      values = parts->pick(values, 1);
    }
    out.append(values);
  }
  out.commit();

  // config.json as it is except for the sizes: no key may be there twice, so the old ones are left out.
  const auto config = json_file::read<checkpoint_error>(files.folder() / "config.json");
  const json_object old{config, config.root()};
  json_writer json;
  json.begin_object();
  for (const auto& [key, value] : old.members()) {
    if (key.starts_with("ffn_dim") || key == "attention_heads" || key.ends_with("dtype")) continue;
    json.key(key).raw(value.text());
  }
  json.field("torch_dtype", "float32").field("ffn_dim", *std::max_element(neurons.begin(), neurons.end()));
  const auto list = [&](const char* key, const std::vector<std::size_t>& counts) {
    json.key(key).begin_array();
    for (const std::size_t count : counts) json.value(count);
    json.end_array();
  };
  if (!even(neurons)) list("ffn_dims", neurons);
  if (!even(heads) || heads[0] != shape.heads) list("attention_heads", heads);
  json.end_object();
  write_file(folder / "config.json", json.text() + "\n");
  for (const char* name :
       {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"}) {
    if (!std::filesystem::exists(files.folder() / name)) continue;
    std::filesystem::copy_file(files.folder() / name, folder / name, std::filesystem::copy_options::overwrite_existing);
  }
  return for_transformers;
}

}  // namespace optscope
