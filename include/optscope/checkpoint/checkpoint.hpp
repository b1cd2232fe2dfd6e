// SPDX-License-Identifier: MIT
#pragma once
// A checkpoint folder as the hub has it: config.json and the weights, whichever of four ways they are stored.

#include <cstddef>
#include <filesystem>
#include <optscope/checkpoint/config.hpp>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/checkpoint/shards.hpp>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <optscope/checkpoint/torch_file.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// A folder with config.json and, in the order in which they are looked for, model.safetensors,
/// model.safetensors.index.json with its shards, pytorch_model.bin, or pytorch_model.bin.index.json with its shards.
///
///     #include <optscope/checkpoint/checkpoint.hpp>
///
///     int main(int argc, char** argv) {
///       const optscope::checkpoint files{argc > 1 ? argv[1] : "facebook/opt-125m"};
///       const optscope::stored_tensor& bias = files.at("decoder.layers.0.fc1.bias");
///       std::vector<float> values(bias.size());
///       bias.copy_to(values.data());
///     }
///
/// Names begin with `decoder.`, whichever way the file has them: `decoder.layers.0.fc1.weight`, `lm_head.weight`.
/// Files are mapped and fully checked, but no weight is read. Shapes are for the model to check. Throws `file_error`
/// if the folder or a file in it is missing, `checkpoint_error` if one is broken. Copying it copies references.
class checkpoint {
 public:
  explicit checkpoint(std::filesystem::path folder) : folder_{std::move(folder)}, config_{read_config(folder_)} {
    weights_ = detail::read_weights(folder_);
  }

  [[nodiscard]] const config& configuration() const noexcept { return config_; }
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  /// The files that hold the weights: one, or the shards.
  [[nodiscard]] const std::vector<std::filesystem::path>& files() const noexcept { return weights_.files; }
  /// `FILE: NAME` of the tensors in shards that the index does not list; they are not used.
  [[nodiscard]] const std::vector<std::string>& unlisted() const noexcept { return weights_.unlisted; }

  [[nodiscard]] bool contains(std::string_view name) const {
    return weights_.tensors.find(detail::canonical_name(name)) != weights_.tensors.end();
  }

  /// Throws `checkpoint_error` naming the files that were searched, if there is no such tensor or it holds integers.
  [[nodiscard]] const stored_tensor& at(std::string_view name) const {
    const auto found = weights_.tensors.find(detail::canonical_name(name));
    if (found != weights_.tensors.end()) return found->second;
    const auto other = weights_.unsupported.find(detail::canonical_name(name));
    const bool stored = other != weights_.unsupported.end();
    throw checkpoint_error{searched(), "tensor " + detail::quoted(name),
                           stored ? "a type of F16, BF16, F32, F64" : "this tensor",
                           stored ? other->second : "no tensor of that name"};
  }

  /// All tensors of floating-point numbers in name order.
  [[nodiscard]] std::vector<std::string> names() const { return names_of(weights_.tensors); }
  /// Those of other types, which `at` refuses.
  [[nodiscard]] std::vector<std::string> unsupported() const { return names_of(weights_.unsupported); }

  /// The table that turns ids into vectors, (vocabulary, word_embed_proj_dim). A file with `lm_head.weight` alone has
  /// it there. Throws `checkpoint_error` if there is neither, or the config does not tie them and it is missing.
  [[nodiscard]] const stored_tensor& embedding() const { return either(embedding_name, unembedding_name); }

  /// The matrix of the logits, (vocabulary, word_embed_proj_dim): `lm_head.weight` where it is stored, else the
  /// embedding. Throws as `embedding()` does.
  [[nodiscard]] const stored_tensor& unembedding() const { return either(unembedding_name, embedding_name); }

  /// Whether embedding and unembedding are one matrix. transformers does not tie them, whatever the config says, where
  /// both are stored and differ; to know that, this compares their values.
  [[nodiscard]] bool tied() const { return detail::same_values(embedding(), unembedding()); }

 private:
  static constexpr std::string_view embedding_name = "decoder.embed_tokens.weight", unembedding_name = "lm_head.weight";

  [[nodiscard]] const stored_tensor& either(std::string_view first, std::string_view second) const {
    if (contains(first) || !config_.tie_word_embeddings || !contains(second)) return at(first);
    return at(second);
  }

  template <class Map>
  static std::vector<std::string> names_of(const Map& map) {
    std::vector<std::string> all;
    for (const auto& [name, unused] : map) all.push_back(name);
    return all;
  }

  /// The files for a message: the first one, and how many more.
  [[nodiscard]] std::string searched() const {
    std::string text = weights_.files.front().string();
    for (std::size_t i = 1; i < weights_.files.size(); ++i) text += ", " + weights_.files[i].filename().string();
    return text;
  }

  std::filesystem::path folder_;
  config config_;
  detail::weights weights_;
};

}  // namespace optscope
