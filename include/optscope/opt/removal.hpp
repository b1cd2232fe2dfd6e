// SPDX-License-Identifier: MIT
#pragma once
// Parts of a model that are taken out of it: neurons and heads, and what stands in their place; as a file.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optscope/checkpoint/json.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/output_file.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// What is taken out of one layer. A part gets the same activation at every position: zero, or a mean.
struct layer_removal {
  std::vector<std::size_t> neurons;  ///< ascending
  std::vector<float> neuron_values;  ///< their `mlp_post`; empty: zeros
  std::vector<std::size_t> heads;    ///< ascending
  std::vector<float> head_values;    ///< (head of `heads`, head_dim) their `z`; empty: zeros

  [[nodiscard]] bool empty() const noexcept { return neurons.empty() && heads.empty(); }
};

/// What is taken out of a model: inside blocks only, never of the embedding, the unembedding or the logits.
struct removal {
  std::vector<layer_removal> layers;

  [[nodiscard]] std::size_t neurons() const {
    std::size_t count = 0;
    for (const layer_removal& layer : layers) count += layer.neurons.size();
    return count;
  }
  [[nodiscard]] std::size_t heads() const {
    std::size_t count = 0;
    for (const layer_removal& layer : layers) count += layer.heads.size();
    return count;
  }
};

/// Throws `bad_input` if a layer of so many neurons and heads does not have what is to be taken out of it.
inline void require_parts(const layer_removal& what, std::size_t neurons, std::size_t heads) {
  const auto check = [](const char* name, const std::vector<std::size_t>& numbers, std::size_t count) {
    if (numbers.empty() || numbers.back() < count) return;
    throw bad_input{"", name, "numbers below " + std::to_string(count), std::to_string(numbers.back())};
  };
  check("neurons to remove", what.neurons, neurons);
  check("heads to remove", what.heads, heads);
}

/// Writes a removal for the model of that `fingerprint`; `about` says in words what it is.
inline void write_removal(const std::filesystem::path& file, const removal& what, const std::string& model,
                          const std::string& about) {
  json_writer json;
  json.begin_object().field("format", "optscope edits 1").field("about", about).field("model", model);
  json.key("layers").begin_array();
  const auto list = [&](const char* name, const auto& values) {
    if (values.empty()) return;
    json.key(name).begin_array();
    for (const auto value : values) json.value(value);
    json.end_array();
  };
  for (const layer_removal& layer : what.layers) {
    json.begin_object();
    list("neurons", layer.neurons);
    list("neuron_values", layer.neuron_values);
    list("heads", layer.heads);
    list("head_values", layer.head_values);
    json.end_object();
  }
  json.end_array().end_object();
  write_file(file, json.text() + "\n");
}

/// Reads a removal. Throws `bad_input` if the file is for another model than that of `fingerprint`, names a layer,
/// neuron or head that the model does not have, or is broken.
[[nodiscard]] inline removal read_removal(const std::filesystem::path& file, const architecture& shape,
                                          const std::string& model) {
  const mapped_file mapped{file};
  simdjson::dom::parser parser;
  const detail::json_object json = detail::parse_json_file(parser, mapped);
  const auto refuse = [&](const std::string& item, const std::string& expected, const std::string& found) {
    throw bad_input{file.string(), item, expected, found};
  };
  const auto text = [&](std::string_view key) {
    std::string_view value;
    const auto element = json.find(key);
    if (!element || element->get(value) != simdjson::SUCCESS) return std::string{};
    return std::string{value};
  };
  if (text("format") != "optscope edits 1") refuse("format", "\"optscope edits 1\"", detail::quoted(text("format")));
  if (text("model") != model) refuse("model", "edits of this model, " + model, text("model"));

  removal result;
  simdjson::dom::array layers;
  const auto found = json.find("layers");
  if (!found || found->get(layers) != simdjson::SUCCESS || layers.size() != shape.layers) {
    refuse("layers", "a list of " + std::to_string(shape.layers), found ? detail::describe(*found) : "nothing");
  }
  for (const simdjson::dom::element element : layers) {
    const std::string item = "layers[" + std::to_string(result.layers.size()) + "]";
    const detail::json_object layer{file.string(), item, element};
    layer_removal& what = result.layers.emplace_back();
    const auto indices = [&](std::string_view key, std::size_t limit, std::vector<std::size_t>& target) {
      const auto value = layer.find(key);
      simdjson::dom::array list;
      if (!value) return;
      if (value->get(list) != simdjson::SUCCESS) refuse(layer.path_to(key), "a list", detail::describe(*value));
      for (const simdjson::dom::element each : list) {
        std::uint64_t index = 0;
        if (each.get(index) != simdjson::SUCCESS || index >= limit || (!target.empty() && index <= target.back())) {
          refuse(layer.path_to(key), "ascending numbers below " + std::to_string(limit), detail::describe(each));
        }
        target.push_back(static_cast<std::size_t>(index));
      }
    };
    const auto values = [&](std::string_view key, std::size_t size, std::vector<float>& target) {
      const auto value = layer.find(key);
      simdjson::dom::array list;
      if (!value) return;
      if (value->get(list) != simdjson::SUCCESS || list.size() != size) {
        refuse(layer.path_to(key), "a list of " + std::to_string(size) + " numbers", detail::describe(*value));
      }
      for (const simdjson::dom::element each : list) {
        double number = 0;
        if (each.get(number) != simdjson::SUCCESS || !std::isfinite(static_cast<float>(number))) {
          refuse(layer.path_to(key), "finite numbers", detail::describe(each));
        }
        target.push_back(static_cast<float>(number));
      }
    };
    indices("neurons", shape.ffn, what.neurons);
    values("neuron_values", what.neurons.size(), what.neuron_values);
    indices("heads", shape.heads, what.heads);
    values("head_values", what.heads.size() * shape.head_dim(), what.head_values);
  }
  return result;
}

}  // namespace optscope
