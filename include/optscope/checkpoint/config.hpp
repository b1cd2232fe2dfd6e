// SPDX-License-Identifier: MIT
#pragma once
// config.json of an OPT checkpoint.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <optscope/checkpoint/json.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/tokens.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace optscope {

/// What config.json says, under its names, with the defaults of transformers' `OPTConfig`. Keys that do not bear on
/// inference are not kept.
struct config {
  std::size_t hidden_size = 768;
  std::size_t num_hidden_layers = 12;
  std::size_t num_attention_heads = 12;  ///< divides hidden_size
  std::size_t ffn_dim = 3072;
  /// Neurons and heads of each layer where they differ (`write_pruned`): not transformers'; else empty.
  std::vector<std::size_t> ffn_dims{}, attention_heads{};
  std::size_t word_embed_proj_dim = 768;  ///< width of the embedding; hidden_size where the file has null or nothing
  std::size_t vocab_size = 50272;         ///< rows of the embedding; not all of them need have a token
  std::size_t max_position_embeddings = 2048;  ///< longest text; the table has two rows more
  bool do_layer_norm_before = true;
  bool remove_final_layer_norm = false;  ///< key `_remove_final_layer_norm`
  bool enable_bias = true;
  bool layer_norm_elementwise_affine = true;
  bool tie_word_embeddings = true;
  std::string activation_function = "relu";
  std::optional<token_id> bos_token_id = 2;   ///< null in the file: no such token
  std::vector<token_id> eos_token_ids = {2};  ///< key `eos_token_id`: a number, a list or null
  std::optional<token_id> pad_token_id = 1;
  std::string torch_dtype;  ///< key `dtype` or, older, `torch_dtype`, as it stands; empty if absent

  [[nodiscard]] std::size_t head_dim() const noexcept { return hidden_size / num_attention_heads; }
  /// Layers differ in their neurons or heads.
  [[nodiscard]] bool uneven() const noexcept { return !ffn_dims.empty() || !attention_heads.empty(); }
  [[nodiscard]] bool has_projection() const noexcept { return word_embed_proj_dim != hidden_size; }
  [[nodiscard]] bool has_final_layer_norm() const noexcept { return do_layer_norm_before && !remove_final_layer_norm; }
};

namespace detail {

/// Reads typed values out of config.json.
class config_reader {
 public:
  explicit config_reader(const json_object& json) : json_{json} {}

  /// Leaves `target` alone if the key is absent. `limit` is far above any model and keeps products inside 64 bits.
  void size(std::string_view key, std::size_t& target, std::size_t limit = std::size_t{1} << 24) const {
    const auto value = json_.find(key);
    if (!value) return;
    std::uint64_t number = 0;
    if (value->get(number) != simdjson::SUCCESS || number == 0 || number > limit) {
      wrong(key, "a whole number from 1 to " + std::to_string(limit), *value);
    }
    target = static_cast<std::size_t>(number);
  }

  /// A list of `count` sizes up to `limit`.
  void sizes(std::string_view key, std::size_t count, std::size_t limit, std::vector<std::size_t>& target) const {
    const auto value = json_.find(key);
    if (!value || value->is_null()) return;
    const std::string expected = "a list of " + std::to_string(count) + " numbers from 1 to " + std::to_string(limit);
    simdjson::dom::array list;
    if (value->get(list) != simdjson::SUCCESS) wrong(key, expected, *value);
    for (const simdjson::dom::element each : list) {
      std::uint64_t number = 0;
      if (each.get(number) != simdjson::SUCCESS || number == 0 || number > limit) wrong(key, expected, each);
      target.push_back(static_cast<std::size_t>(number));
    }
    if (target.size() != count) wrong(key, expected, *value);
  }

  void flag(std::string_view key, bool& target) const {
    const auto value = json_.find(key);
    if (value && value->get(target) != simdjson::SUCCESS) wrong(key, "true or false", *value);
  }

  /// A string; null counts as absent if `nullable`.
  void text(std::string_view key, std::string& target, bool nullable) const {
    const auto value = json_.find(key);
    if (!value || (nullable && value->is_null())) return;
    std::string_view string;
    if (value->get(string) != simdjson::SUCCESS || string.empty()) wrong(key, "a string", *value);
    target = string;
  }

  void id(std::string_view key, std::optional<token_id>& target) const {
    const auto value = json_.find(key);
    if (!value) return;
    target.reset();
    if (!value->is_null()) target = one_id(key, *value);
  }

  void ids(std::string_view key, std::vector<token_id>& target) const {
    const auto value = json_.find(key);
    if (!value) return;
    target.clear();
    simdjson::dom::array list;
    if (value->get(list) == simdjson::SUCCESS) {
      for (const simdjson::dom::element each : list) target.push_back(one_id(key, each));
    } else if (!value->is_null()) {
      target.push_back(one_id(key, *value));
    }
  }

 private:
  [[nodiscard]] token_id one_id(std::string_view key, simdjson::dom::element value) const {
    std::int64_t number = 0;
    if (value.get(number) != simdjson::SUCCESS || number < 0 || number > std::numeric_limits<token_id>::max()) {
      wrong(key, "a token id or null", value);
    }
    return static_cast<token_id>(number);
  }

  [[noreturn]] void wrong(std::string_view key, std::string expected, simdjson::dom::element found) const {
    throw checkpoint_error{json_.file(), json_.path_to(key), std::move(expected), describe(found)};
  }

  const json_object& json_;
};

}  // namespace detail

/// Reads `folder/config.json`; no weights are needed. Throws `file_error` if there is none, `checkpoint_error` naming
/// the key if it is not JSON, not of model type "opt", has a key twice, a value of a wrong type or an impossible size.
/// Keys that `OPTConfig` does not know are ignored, as there.
[[nodiscard]] inline config read_config(const std::filesystem::path& folder) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(folder, ignored)) {
    const bool exists = std::filesystem::exists(folder, ignored);
    throw file_error{folder.string(), "", "a folder with a model (config.json and weights)",
                     exists ? "something that is not a folder" : "nothing"};
  }
  if (!file_present(folder / "config.json")) {
    throw file_error{folder.string(), "", "config.json in this folder", "no such file"};
  }
  const mapped_file file{folder / "config.json"};
  simdjson::dom::parser parser;
  const detail::json_object json = detail::parse_json_file(parser, file);
  const detail::config_reader read{json};

  std::string model_type;
  read.text("model_type", model_type, true);
  if (model_type != "opt") {
    throw checkpoint_error{json.file(), "model_type", "\"opt\"",
                           model_type.empty() ? "no such key" : detail::quoted(model_type)};
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
    throw checkpoint_error{json.file(), "num_attention_heads",
                           "a divisor of hidden_size " + std::to_string(result.hidden_size),
                           std::to_string(result.num_attention_heads)};
  }
  return result;
}

}  // namespace optscope
