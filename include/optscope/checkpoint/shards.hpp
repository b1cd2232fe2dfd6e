// SPDX-License-Identifier: MIT
#pragma once
// Finds the weights of a checkpoint folder, in one file or in shards, under one set of names.

#include <filesystem>
#include <functional>
#include <map>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <optscope/core/compiled.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope::detail {

/// The name as an OPTModel has it, `decoder.…`. Files of the hub have that or `model.decoder.…`; those of an OPTDecoder
/// have neither prefix. What torch.compile and DataParallel put before them, `_orig_mod.` and `module.`, is left out.
[[nodiscard]] std::string canonical_name(std::string_view name);

/// Where a tensor should be, and what says so.
struct shard_and_index {
  std::string shard, index;
};

/// All tensors of a folder under their canonical names.
struct weights : tensor_table {
  std::vector<std::filesystem::path> files;
  std::vector<std::string> unlisted;  ///< `FILE: NAME: REASON`
  /// Names that the index has and the shard has not: nobody may need them.
  std::map<std::string, shard_and_index, std::less<>> missing;

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
