// SPDX-License-Identifier: MIT
#pragma once
// Writes a model with parts removed as a smaller checkpoint.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/opt/removal.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// Writes the model without what was removed into `folder`: model.safetensors (F32), config.json and the tokenizer's
/// files. Rows and columns of removed neurons are cut out; their constant values are in fc2's bias, as are those of
/// heads, whose columns of W_O are zero: attention keeps its size. Where all layers keep the same number of neurons,
/// `ffn_dim` is that number and transformers reads the folder; else config.json also has `ffn_dims`, one a layer, which
/// this library reads and transformers does not. Returns whether transformers can read it.
///
/// A layer of which all neurons are removed keeps one without effect. Throws `bad_input` for constants that need a bias
/// in a model without biases.
inline bool write_pruned(const checkpoint& files, const architecture& shape, const removal& what,
                         const std::filesystem::path& folder) {
  std::vector<std::size_t> sizes;
  for (std::size_t layer = 0; layer < shape.layers; ++layer) {
    const std::size_t whole = files.at("decoder.layers." + std::to_string(layer) + ".fc1.weight").rows();
    const layer_removal& gone = what.layers.at(layer);
    sizes.push_back(std::max<std::size_t>(1, whole - gone.neurons.size()));
    if (!shape.bias && (!gone.neuron_values.empty() || !gone.head_values.empty())) {
      throw bad_input{files.folder().string(), "", "a model with biases, to put the constants there", "one without"};
    }
  }
  const bool same = std::adjacent_find(sizes.begin(), sizes.end(), std::not_equal_to<>{}) == sizes.end();

  const auto shape_in_file = [&](const std::string& name) {
    std::vector<std::size_t> extents = files.at(name).shape();
    for (std::size_t layer = 0; layer < shape.layers; ++layer) {
      const std::string prefix = "decoder.layers." + std::to_string(layer) + ".";
      if (name == prefix + "fc1.weight" || name == prefix + "fc1.bias") extents[0] = sizes[layer];
      if (name == prefix + "fc2.weight") extents[1] = sizes[layer];
    }
    return extents;
  };
  const auto values_of = [&](const std::string& name) {
    std::vector<float> values(files.at(name).size());
    files.at(name).copy_to(values.data());
    return values;
  };
  std::vector<safetensors_item> items;
  const std::vector<std::string> names = files.names();
  for (const std::string& name : names) {
    items.push_back({(name.starts_with("decoder.") ? "model." : "") + name, shape_in_file(name)});
  }
  std::filesystem::create_directories(folder);
  safetensors_writer out{folder / "model.safetensors", items};
  for (const std::string& name : names) {
    std::vector<float> values = values_of(name);
    if (name.starts_with("decoder.layers.")) {
      const std::size_t layer = std::stoul(name.substr(15)), hidden = shape.hidden;
      const std::string part = name.substr(name.find('.', 15) + 1), prefix = name.substr(0, name.find('.', 15) + 1);
      const layer_removal& gone = what.layers[layer];
      const std::size_t whole = files.at(prefix + "fc1.weight").rows();
      std::vector<std::size_t> kept;
      for (std::size_t n = 0; n < whole; ++n) {
        if (!std::binary_search(gone.neurons.begin(), gone.neurons.end(), n)) kept.push_back(n);
      }
      const auto pick = [&](std::size_t outer, std::size_t inner) {  // (outer, neuron, inner)
        std::vector<float> left(outer * sizes[layer] * inner);
        for (std::size_t o = 0; o < outer; ++o) {
          for (std::size_t i = 0; i < kept.size(); ++i) {
            std::copy_n(values.begin() + static_cast<std::ptrdiff_t>((o * whole + kept[i]) * inner), inner,
                        left.begin() + static_cast<std::ptrdiff_t>((o * sizes[layer] + i) * inner));
          }
        }
        values = std::move(left);
      };
      if (part == "fc1.weight") pick(1, hidden);
      if (part == "fc1.bias") pick(1, 1);
      if (part == "fc2.weight") pick(hidden, 1);
      if (part == "fc2.bias" && !gone.neuron_values.empty()) {
        const std::vector<float> weight = values_of(prefix + "fc2.weight");
        for (std::size_t row = 0; row < hidden; ++row) {
          double sum = static_cast<double>(values[row]);
          for (std::size_t i = 0; i < gone.neurons.size(); ++i) {
            sum +=
                static_cast<double>(gone.neuron_values[i]) * static_cast<double>(weight[row * whole + gone.neurons[i]]);
          }
          values[row] = static_cast<float>(sum);
        }
      }
      const std::size_t width = shape.head_dim();
      if (part == "self_attn.out_proj.weight") {
        for (std::size_t row = 0; row < hidden; ++row) {
          for (const std::size_t head : gone.heads) {
            std::fill_n(values.begin() + static_cast<std::ptrdiff_t>(row * hidden + head * width), width, 0.0f);
          }
        }
      }
      if (part == "self_attn.out_proj.bias" && !gone.head_values.empty()) {
        const std::vector<float> weight = values_of(prefix + "self_attn.out_proj.weight");
        for (std::size_t row = 0; row < hidden; ++row) {
          double sum = static_cast<double>(values[row]);
          for (std::size_t i = 0; i < gone.head_values.size(); ++i) {
            sum += static_cast<double>(gone.head_values[i]) *
                   static_cast<double>(weight[row * hidden + gone.heads[i / width] * width + i % width]);
          }
          values[row] = static_cast<float>(sum);
        }
      }
    }
    out.append(values);
  }
  out.commit();

  // config.json as it is, but for the sizes: a later key of the same name is not allowed, so the old ones are cut out.
  std::ifstream stream{files.folder() / "config.json", std::ios::binary};
  std::string config{std::istreambuf_iterator<char>{stream}, {}};
  simdjson::dom::parser parser;
  const detail::json_object old{"config.json", "", detail::parse_json(parser, "config.json", "", config)};
  json_writer json;
  json.begin_object();
  for (const auto& [key, value] : old.members()) {
    if (key == "ffn_dim" || key == "ffn_dims" || key == "dtype" || key == "torch_dtype") continue;
    json.key(key).raw(simdjson::minify(value));
  }
  json.field("torch_dtype", "float32").field("ffn_dim", *std::max_element(sizes.begin(), sizes.end()));
  if (!same) {
    json.key("ffn_dims").begin_array();
    for (const std::size_t size : sizes) json.value(size);
    json.end_array();
  }
  json.end_object();
  write_file(folder / "config.json", json.text() + "\n");
  for (const char* name :
       {"vocab.json", "merges.txt", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json"}) {
    if (!std::filesystem::exists(files.folder() / name)) continue;
    std::filesystem::copy_file(files.folder() / name, folder / name, std::filesystem::copy_options::overwrite_existing);
  }
  return same;
}

}  // namespace optscope
