// SPDX-License-Identifier: MIT
#pragma once
// Finds the weights of a checkpoint folder, in one file or in shards, under one set of names.

#include <filesystem>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <optscope/core/compiled.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope::detail {

/// The name as an OPTModel has it, `decoder.…`. Files of the hub have that or `model.decoder.…`; those of an OPTDecoder
/// have neither prefix.
[[nodiscard]] std::string canonical_name(std::string_view name);

/// All tensors of a folder under their canonical names.
struct weights : tensor_table {
  std::vector<std::filesystem::path> files;
  std::vector<std::string> unlisted;  ///< `FILE: NAME`

  void add(const std::filesystem::path& file, std::string_view name, const stored_tensor& tensor);
  void add_unsupported(const std::filesystem::path& file, std::string_view name, const std::string& type);

 private:
  void check_new(const std::filesystem::path& file, std::string_view name) const;
};

/// Looks for the weights of a folder in the order of transformers: safetensors before torch, one file before shards.
[[nodiscard]] weights read_weights(const std::filesystem::path& folder);

/// Whether two tensors have the same shape and values; bit-equal NaN counts as equal.
[[nodiscard]] bool same_values(const stored_tensor& a, const stored_tensor& b);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/shards.ipp>
#endif
