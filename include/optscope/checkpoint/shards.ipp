// SPDX-License-Identifier: MIT
#pragma once
// Bodies of shards.hpp.

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <map>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/checkpoint/shards.hpp>
#include <optscope/checkpoint/torch_file.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/mapped_file.hpp>
#include <utility>

namespace optscope::detail {

OPTSCOPE_INLINE std::string canonical_name(std::string_view name) {
  for (const std::string_view wrapper : {"_orig_mod.", "module.", "_orig_mod.", "model."}) {
    if (name.starts_with(wrapper)) name.remove_prefix(wrapper.size());
  }
  for (const std::string_view part :
       {"embed_tokens.", "embed_positions.", "project_in.", "project_out.", "layers.", "final_layer_norm."}) {
    if (name.starts_with(part)) return "decoder." + std::string{name};
  }
  return std::string{name};
}

OPTSCOPE_INLINE void weights::add(const std::filesystem::path& file, std::string_view name,
                                  const stored_tensor& tensor) {
  check_new(file, name);
  tensors.emplace(canonical_name(name), tensor);
}

OPTSCOPE_INLINE void weights::add_unsupported(const std::filesystem::path& file, std::string_view name,
                                              const std::string& type) {
  check_new(file, name);
  unsupported.emplace(canonical_name(name), type);
}

OPTSCOPE_INLINE void weights::check_new(const std::filesystem::path& file, std::string_view name) const {
  const std::string canonical = canonical_name(name);
  if (tensors.find(canonical) == tensors.end() && unsupported.find(canonical) == unsupported.end()) return;
  throw checkpoint_error{file.string(), "duplicate tensor " + detail::quoted(canonical), "",
                         "it with and without a prefix such as \"model.\" or \"decoder.\""};
}

/// A shard's name must be a file next to the index: no separator, no `..`, nothing that a path would interpret.
[[nodiscard]] inline bool plain_file_name(std::string_view name) noexcept {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return c != '/' && c != '\\' && c != ':' && static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
         });
}

/// Reads an index and the shards that it names with `read`.
using table_reader = tensor_table(const std::filesystem::path&);

[[nodiscard]] inline weights read_shards(const std::filesystem::path& index, table_reader* read) {
  const json_file file = json_file::read<checkpoint_error>(index);
  const json_object json{file, file.root()};
  const auto map = json.find("weight_map");
  if (!map) json.refuse("weight_map", "an object of tensor names to files", "no such key");
  const json_object listed{file, *map, "weight_map"};
  if (listed.members().empty()) json.refuse("weight_map", "at least one tensor", "none");

  std::map<std::string_view, std::vector<std::string_view>> shards;  // file to its tensors, in name order
  for (const auto& [tensor, value] : listed.members()) {
    std::string_view shard;
    if (!value.get(shard) || !plain_file_name(shard)) {
      listed.refuse(tensor, "the name of a file next to the index", value.description());
    }
    shards[shard].push_back(tensor);
  }

  weights result;
  for (const auto& [shard, tensors] : shards) {
    const auto path = index.parent_path() / shard;
    if (!file_present(path)) {
      throw file_error{index.string(), "weight_map", "the shard " + path.string(), "no such file"};
    }
    const tensor_table table = read(path);
    result.files.push_back(path);
    for (const std::string_view name : tensors) {
      const auto tensor = table.tensors.find(name);
      const auto other = table.unsupported.find(name);
      if (tensor != table.tensors.end()) {
        result.add(path, name, tensor->second);
      } else if (other != table.unsupported.end()) {
        result.add_unsupported(path, name, other->second);
      } else {
        result.missing.emplace(canonical_name(name), shard_and_index{path.string(), index.string()});
      }
    }
    const auto check_listed = [&, &known = tensors](const std::string& name) {  // clang 14 captures no binding
      if (!std::binary_search(known.begin(), known.end(), name)) {
        const auto place = listed.find(name);
        std::string_view other;
        const bool elsewhere = place && place->get(other);
        result.unlisted.push_back(path.string() + ": " + name +
                                  (elsewhere ? ": not used, the index takes it from " + printable(other)
                                             : ": not used, the index does not list it"));
      }
    };
    for (const auto& [name, unused] : table.tensors) check_listed(name);
    for (const auto& [name, unused] : table.unsupported) check_listed(name);
  }
  return result;
}

OPTSCOPE_INLINE weights read_weights(const std::filesystem::path& folder) {
  const auto single = [&](const char* file, table_reader* read) {
    const std::filesystem::path path = folder / file;
    const tensor_table table = read(path);
    weights result;
    result.files.push_back(path);
    for (const auto& [name, tensor] : table.tensors) result.add(path, name, tensor);
    for (const auto& [name, type] : table.unsupported) result.add_unsupported(path, name, type);
    return result;
  };
  const auto present = [&](const char* name) { return file_present(folder / name); };
  if (present("model.safetensors")) return single("model.safetensors", &read_safetensors);
  if (present("model.safetensors.index.json")) {
    return read_shards(folder / "model.safetensors.index.json", &read_safetensors);
  }
  if (present("pytorch_model.bin")) return single("pytorch_model.bin", &read_torch);
  if (present("pytorch_model.bin.index.json")) return read_shards(folder / "pytorch_model.bin.index.json", &read_torch);
  throw file_error{folder.string(), "",
                   "weights: model.safetensors, model.safetensors.index.json, pytorch_model.bin or "
                   "pytorch_model.bin.index.json",
                   "none of them"};
}

OPTSCOPE_INLINE bool same_values(const stored_tensor& a, const stored_tensor& b) {
  if (a.shape() != b.shape()) return false;
  if (a.data() == b.data() && a.type() == b.type() && a.strides() == b.strides()) return true;
  if (a.shape().empty() || a.size() == 0) return a.size() == 0;
  if (a.type() == b.type() && a.contiguous() && b.contiguous()) {
    return std::memcmp(a.data(), b.data(), a.size() * size_of(a.type())) == 0;
  }
  std::vector<double> left(a.row_size()), right(a.row_size());
  for (std::size_t row = 0; row < a.rows(); ++row) {
    a.copy_rows(row, 1, left.data());
    b.copy_rows(row, 1, right.data());
    if (std::memcmp(left.data(), right.data(), left.size() * sizeof(double)) != 0) return false;
  }
  return true;
}

}  // namespace optscope::detail
