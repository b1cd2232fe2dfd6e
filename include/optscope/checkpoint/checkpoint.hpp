// SPDX-License-Identifier: MIT
#pragma once
// A checkpoint folder as the hub has it: config.json and the weights, in any of four formats.

#include <filesystem>
#include <optscope/checkpoint/config.hpp>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/checkpoint/shards.hpp>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <optscope/checkpoint/torch_file.hpp>
#include <optscope/core/compiled.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// A folder with config.json and the weights. Weights are looked for in this order: model.safetensors,
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
/// Names begin with `decoder.`, however the file spells them: `decoder.layers.0.fc1.weight`. The unembedding is
/// `lm_head.weight`.
/// Files are mapped and checked in full, but no weight is read. The model checks shapes. Throws `file_error`
/// if the folder or a file in it is missing, `checkpoint_error` if one is broken. Copying it copies references.
class checkpoint {
 public:
  explicit checkpoint(std::filesystem::path folder);

  [[nodiscard]] const config& configuration() const noexcept { return config_; }
  [[nodiscard]] const std::filesystem::path& folder() const noexcept { return folder_; }
  /// The files that hold the weights: one, or the shards.
  [[nodiscard]] const std::vector<std::filesystem::path>& files() const noexcept { return weights_.files; }
  /// `FILE: NAME: REASON` of tensors in a shard that the index does not list, or takes from another; they are not used.
  [[nodiscard]] const std::vector<std::string>& unlisted() const noexcept { return weights_.unlisted; }

  [[nodiscard]] bool contains(std::string_view name) const;

  /// Throws `checkpoint_error`, naming the files that were searched, if there is no such tensor or it holds integers.
  [[nodiscard]] const stored_tensor& at(std::string_view name) const;

  /// All tensors of floating-point numbers in name order.
  [[nodiscard]] std::vector<std::string> names() const;
  /// Names of tensors of all other types, which `at` refuses.
  [[nodiscard]] std::vector<std::string> unsupported() const;

  /// The table that turns ids into vectors, (vocabulary, word_embed_proj_dim). If the file has only `lm_head.weight`,
  /// that is the table. Throws `checkpoint_error` if both are missing, or if this one is and config.json does not tie
  /// them.
  [[nodiscard]] const stored_tensor& embedding() const;

  /// The matrix of the logits, (vocabulary, word_embed_proj_dim): `lm_head.weight` if it is stored, otherwise the
  /// embedding. Throws like `embedding()`.
  [[nodiscard]] const stored_tensor& unembedding() const;

  /// Whether embedding and unembedding are one matrix. If both are stored and differ, transformers does not tie them,
  /// whatever the config says; so this compares their values.
  [[nodiscard]] bool tied() const;

 private:
  [[nodiscard]] const stored_tensor& either(std::string_view first, std::string_view second) const;
  [[nodiscard]] std::string searched() const;

  std::filesystem::path folder_;
  config config_;
  detail::weights weights_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/checkpoint.ipp>
#endif
