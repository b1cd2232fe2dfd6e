// SPDX-License-Identifier: MIT
#pragma once
// Bodies of removal.hpp.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optscope/core/errors.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/opt/removal.hpp>
#include <string_view>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE void require_parts(const layer_removal& what, std::size_t neurons, std::size_t heads) {
  const auto check = [](const char* name, const std::vector<std::size_t>& numbers, std::size_t count) {
    if (numbers.empty() || numbers.back() < count) return;
    throw bad_input{"", name, "numbers below " + std::to_string(count), std::to_string(numbers.back())};
  };
  check("neurons to remove", what.neurons, neurons);
  check("heads to remove", what.heads, heads);
}

OPTSCOPE_INLINE void write_removal(const std::filesystem::path& file, const removal& what, const std::string& model,
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
    if (!layer.directions.empty()) {
      json.key("directions").begin_object();
      list("bias", layer.basis->bias);
      for (const auto& [name, rows] :
           {std::pair{"left", &layer.basis->left}, std::pair{"right", &layer.basis->right}}) {
        json.key(name).begin_array();
        for (const std::size_t direction : layer.directions) {
          json.begin_array();
          for (const float value : rows->row(direction)) json.value(value);
          json.end_array();
        }
        json.end_array();
      }
      json.end_object();
    }
    json.end_object();
  }
  json.end_array().end_object();
  write_file(file, json.text() + "\n");
}

OPTSCOPE_INLINE removal read_removal(const std::filesystem::path& file, const architecture& shape,
                                     const std::string& model) {
  const json_file source = json_file::read(file);
  const json_object json{source, source.root()};
  const auto refuse = [&](const std::string& item, const std::string& expected, const std::string& found) {
    source.refuse(item, expected, found);
  };
  const auto text = [&](std::string_view key) {
    std::string_view value;
    const auto element = json.find(key);
    if (!element || !element->get(value)) return std::string{};
    return std::string{value};
  };
  if (text("format") != "optscope edits 1") refuse("format", "\"optscope edits 1\"", detail::quoted(text("format")));
  if (text("model") != model) refuse("model", "edits of this model, " + model, text("model"));

  removal result;
  std::vector<json_value> layers;
  const auto found = json.find("layers");
  if (!found || !found->get(layers) || layers.size() != shape.layers) {
    refuse("layers", "a list of " + std::to_string(shape.layers), found ? found->description() : "nothing");
  }
  for (const json_value& element : layers) {
    const std::string item = "layers[" + std::to_string(result.layers.size()) + "]";
    const json_object layer{source, element, item};
    layer_removal& what = result.layers.emplace_back();
    const auto indices = [&](std::string_view key, std::size_t limit, std::vector<std::size_t>& target) {
      const auto value = layer.find(key);
      std::vector<json_value> list;
      if (!value) return;
      if (!value->get(list)) refuse(layer.path_to(key), "a list", value->description());
      for (const json_value& each : list) {
        std::uint64_t index = 0;
        if (!each.get(index) || index >= limit || (!target.empty() && index <= target.back())) {
          refuse(layer.path_to(key), "ascending numbers below " + std::to_string(limit), each.description());
        }
        target.push_back(static_cast<std::size_t>(index));
      }
    };
    const auto numbers = [&](const json_value& value, const std::string& where, std::size_t size,
                             std::vector<float>& target) {
      std::vector<json_value> list;
      if (!value.get(list) || list.size() != size) {
        refuse(where, "a list of " + std::to_string(size) + " numbers", value.description());
      }
      for (const json_value& each : list) {
        double number = 0;
        if (!each.get(number) || !std::isfinite(static_cast<float>(number))) {
          refuse(where, "finite numbers", each.description());
        }
        target.push_back(static_cast<float>(number));
      }
    };
    const auto values = [&](std::string_view key, std::size_t size, std::vector<float>& target) {
      if (const auto value = layer.find(key)) numbers(*value, layer.path_to(key), size, target);
    };
    indices("neurons", shape.ffn, what.neurons);
    values("neuron_values", what.neurons.size(), what.neuron_values);
    indices("heads", shape.heads, what.heads);
    values("head_values", what.heads.size() * shape.head_dim(), what.head_values);
    const auto directions = layer.find("directions");
    if (!directions) continue;
    const json_object parts{source, *directions, layer.path_to("directions")};
    const auto part = [&](std::string_view key) {
      const auto value = parts.find(key);
      if (!value) refuse(parts.path_to(key), "a list", "nothing");
      return *value;
    };
    stream_basis basis;
    numbers(part("bias"), parts.path_to("bias"), shape.hidden, basis.bias);
    const auto rows = [&](std::string_view key, tensor<float, 2>& target) {
      std::vector<json_value> list;
      const json_value value = part(key);
      const bool is_list = value.get(list);
      if (!is_list || list.size() == 0 || list.size() > shape.hidden) {
        refuse(parts.path_to(key), "1 to " + std::to_string(shape.hidden) + " lists", value.description());
      }
      std::vector<float> all;
      for (const json_value& each : list) numbers(each, parts.path_to(key), shape.hidden, all);
      target = tensor<float, 2>{{list.size(), shape.hidden}};
      std::ranges::copy(all, target.data());
    };
    rows("left", basis.left);
    rows("right", basis.right);
    if (basis.left.rows() != basis.right.rows()) {
      refuse(parts.path_to("right"), std::to_string(basis.left.rows()) + " lists, as in left",
             std::to_string(basis.right.rows()));
    }
    for (std::size_t i = 0; i < basis.left.rows(); ++i) what.directions.push_back(i);
    what.basis = std::make_shared<const stream_basis>(std::move(basis));
  }
  return result;
}

}  // namespace optscope
