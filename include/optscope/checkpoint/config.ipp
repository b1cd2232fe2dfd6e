// SPDX-License-Identifier: MIT
#pragma once
// Bodies of config.hpp.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <optscope/checkpoint/config.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/mapped_file.hpp>
#include <string_view>
#include <system_error>
#include <utility>

namespace optscope {

namespace detail {

/// Reads typed values out of config.json.
class config_reader {
 public:
  explicit config_reader(const json_object& json) : json_{json} {}

  /// Leaves `target` unchanged if the key is absent. `limit` is far above any model; it keeps products inside 64 bits.
  void size(std::string_view key, std::size_t& target, std::size_t limit = std::size_t{1} << 24) const {
    const auto value = json_.find(key);
    if (!value) return;
    std::uint64_t number = 0;
    if (!value->get(number) || number == 0 || number > limit) {
      wrong(key, "a whole number from 1 to " + std::to_string(limit), *value);
    }
    target = static_cast<std::size_t>(number);
  }

  /// A list of `count` sizes up to `limit`.
  void sizes(std::string_view key, std::size_t count, std::size_t limit, std::vector<std::size_t>& target) const {
    const auto value = json_.find(key);
    if (!value || value->is_null()) return;
    const std::string expected = "a list of " + std::to_string(count) + " numbers from 1 to " + std::to_string(limit);
    std::vector<json_value> list;
    if (!value->get(list)) wrong(key, expected, *value);
    for (const json_value& each : list) {
      std::uint64_t number = 0;
      if (!each.get(number) || number == 0 || number > limit) wrong(key, expected, each);
      target.push_back(static_cast<std::size_t>(number));
    }
    if (target.size() != count) wrong(key, expected, *value);
  }

  void flag(std::string_view key, bool& target) const {
    const auto value = json_.find(key);
    if (value && !value->get(target)) wrong(key, "true or false", *value);
  }

  /// A string; null counts as absent if `nullable`.
  void text(std::string_view key, std::string& target, bool nullable) const {
    const auto value = json_.find(key);
    if (!value || (nullable && value->is_null())) return;
    std::string_view string;
    if (!value->get(string) || string.empty()) wrong(key, "a string", *value);
    target = string;
  }

  void id(std::string_view key, std::optional<token_id>& target) const {
    const auto value = json_.find(key);
    if (!value) return;
    target.reset();
    if (!value->is_null()) target = one_id(key, *value);
    if (target && *target < 0) target.reset();
  }

  void ids(std::string_view key, std::vector<token_id>& target) const {
    const auto value = json_.find(key);
    if (!value) return;
    target.clear();
    std::vector<json_value> list;
    if (value->get(list)) {
      for (const json_value& each : list) target.push_back(one_id(key, each));
    } else if (!value->is_null()) {
      target.push_back(one_id(key, *value));
    }
    std::erase_if(target, [](token_id id) { return id < 0; });
  }

 private:
  [[nodiscard]] token_id one_id(std::string_view key, const json_value& value) const {
    std::int64_t number = 0;
    if (!value.get(number) || number > std::numeric_limits<token_id>::max()) wrong(key, "a token id or null", value);
    return static_cast<token_id>(std::max<std::int64_t>(number, -1));
  }

  [[noreturn]] void wrong(std::string_view key, std::string expected, const json_value& found) const {
    json_.refuse(key, std::move(expected), found.description());
  }

  const json_object& json_;
};

}  // namespace detail

OPTSCOPE_INLINE config read_config(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    const bool exists = std::filesystem::exists(folder, ignored);
    throw file_error{folder.string(), "", "a folder with a model (config.json and weights)",
                     exists ? "a file" : "nothing of this name"};
  }
  if (!file_present(folder / "config.json")) {
    throw file_error{folder.string(), "", "config.json in this folder", "no such file"};
  }
  const json_file file = json_file::read<checkpoint_error>(folder / "config.json");
  const json_object json{file, file.root()};
  const detail::config_reader read{json};

  std::string model_type;
  read.text("model_type", model_type, true);
  if (model_type != "opt") {
    json.refuse("model_type", "\"opt\"", model_type.empty() ? "no such key" : detail::quoted(model_type));
  }
  config result;
  read.size("hidden_size", result.hidden_size);
  read.size("num_hidden_layers", result.num_hidden_layers, 4096);
  read.size("num_attention_heads", result.num_attention_heads);
  read.size("ffn_dim", result.ffn_dim);
  read.sizes("ffn_dims", result.num_hidden_layers, result.ffn_dim, result.ffn_dims);
  read.sizes("attention_heads", result.num_hidden_layers, result.num_attention_heads, result.attention_heads);
  read.size("vocab_size", result.vocab_size);
  read.size("max_position_embeddings", result.max_position_embeddings);
  result.word_embed_proj_dim = result.hidden_size;
  const auto projection = json.find("word_embed_proj_dim");
  if (projection && !projection->is_null()) read.size("word_embed_proj_dim", result.word_embed_proj_dim);
  read.flag("do_layer_norm_before", result.do_layer_norm_before);
  read.flag("_remove_final_layer_norm", result.remove_final_layer_norm);
  read.flag("enable_bias", result.enable_bias);
  read.flag("layer_norm_elementwise_affine", result.layer_norm_elementwise_affine);
  read.flag("tie_word_embeddings", result.tie_word_embeddings);
  read.text("activation_function", result.activation_function, false);
  read.id("bos_token_id", result.bos_token_id);
  read.ids("eos_token_id", result.eos_token_ids);
  read.id("pad_token_id", result.pad_token_id);
  read.text("torch_dtype", result.torch_dtype, true);
  read.text("dtype", result.torch_dtype, true);

  if (result.hidden_size % result.num_attention_heads != 0) {
    json.refuse("num_attention_heads", "a divisor of hidden_size " + std::to_string(result.hidden_size),
                std::to_string(result.num_attention_heads));
  }
  return result;
}

}  // namespace optscope
