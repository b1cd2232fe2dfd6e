// SPDX-License-Identifier: MIT
#pragma once
// Bodies of safetensors.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/checkpoint/file_kind.hpp>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/mapped_file.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// One tensor of a safetensors header; offsets count from the end of the header.
struct safetensors_entry {
  std::string_view name, type;
  std::size_t begin, end;
  std::vector<std::size_t> shape;
};

/// Bits of an element of any type of the format, 0 if there is no such type.
[[nodiscard]] constexpr std::size_t safetensors_bits(std::string_view type) noexcept {
  using names = std::initializer_list<std::string_view>;
  for (const auto name : names{"F32", "U32", "I32"}) {
    if (type == name) return 32;
  }
  for (const auto name : names{"F16", "BF16", "U16", "I16"}) {
    if (type == name) return 16;
  }
  for (const auto name : names{"F64", "C64", "U64", "I64"}) {
    if (type == name) return 64;
  }
  for (const auto name : names{"BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"}) {
    if (type == name) return 8;
  }
  return type == "F4" ? 4 : type == "F6_E2M3" || type == "F6_E3M2" ? 6 : 0;
}

/// Checks one entry in itself: the three keys, their types, and a length that fits shape and type.
[[nodiscard]] inline safetensors_entry read_safetensors_entry(const json_file& file, std::string_view name,
                                                              const json_value& value) {
  const std::string tensor = "tensor " + quoted(name);
  const json_object json{file, value, tensor};
  for (const auto& [key, unused] : json.members()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      file.refuse(tensor, "the keys dtype, shape and data_offsets only", quoted(key));
    }
  }
  const auto list = [&](std::string_view key, std::string expected) {
    const auto element = json.find(key);
    if (!element) json.refuse(key, std::move(expected), "no such key");
    std::vector<json_value> items;
    if (!element->get(items)) json.refuse(key, std::move(expected), element->description());
    std::vector<std::size_t> numbers;
    for (const json_value& each : items) {
      std::uint64_t number = 0;
      if (!each.get(number)) json.refuse(key, std::move(expected), each.description() + " in it");
      numbers.push_back(static_cast<std::size_t>(number));
    }
    return numbers;
  };

  safetensors_entry entry{name, {}, 0, 0, list("shape", "a list of whole numbers")};
  const auto type = json.find("dtype");
  if (!type) json.refuse("dtype", "a type name", "no such key");
  if (!type->get(entry.type)) json.refuse("dtype", "a type name", type->description());
  const std::size_t bits = safetensors_bits(entry.type);
  if (bits == 0) json.refuse("dtype", "a type of the safetensors format", quoted(entry.type));
  constexpr std::size_t most_axes = 8;  // torch allows 64; OPT has 2
  if (entry.shape.size() > most_axes) {
    json.refuse("shape", "at most 8 axes", std::to_string(entry.shape.size()));
  }

  const std::vector<std::size_t> offsets = list("data_offsets", "two offsets, the first not above the second");
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    json.refuse("data_offsets", "two offsets, the first not above the second", shape_text(offsets));
  }
  entry.begin = offsets[0];
  entry.end = offsets[1];

  auto total_bits = checked_size(entry.shape);
  if (total_bits) total_bits = checked_product(*total_bits, bits);
  if (!total_bits) json.refuse("shape", "a size that fits into 64 bits", shape_text(entry.shape));
  if (*total_bits % 8 != 0) json.refuse("shape", "whole bytes", std::to_string(*total_bits) + " bits");
  if (*total_bits / 8 != entry.end - entry.begin) {
    json.refuse(
        "data_offsets",
        std::to_string(*total_bits / 8) + " bytes for " + std::string{entry.type} + " " + shape_text(entry.shape),
        std::to_string(entry.end - entry.begin) + " bytes");
  }
  return entry;
}

[[nodiscard]] inline std::optional<dtype> safetensors_dtype(std::string_view name) noexcept {
  for (const dtype type : {dtype::f16, dtype::bf16, dtype::f32, dtype::f64}) {
    if (name == name_of(type)) return type;
  }
  return std::nullopt;
}

}  // namespace detail

OPTSCOPE_INLINE tensor_table read_safetensors(const std::filesystem::path& path) {
  const auto file = std::make_shared<const mapped_file>(path);
  const std::string name = path.string();
  const auto bytes = file->bytes();
  constexpr std::uint64_t longest_header = 100'000'000;  // the reference reader's limit
  if (bytes.size() < 8) {
    throw checkpoint_error{name, "", "a safetensors file of at least 8 bytes",
                           std::to_string(bytes.size()) + ": " + detail::file_kind(bytes)};
  }
  const auto length = detail::number_at<std::uint64_t>(bytes, 0);
  if (length > longest_header || length > bytes.size() - 8) {
    throw checkpoint_error{name, "header length",
                           "at most " + std::to_string(std::min<std::uint64_t>(longest_header, bytes.size() - 8)),
                           std::to_string(length) + ": " + detail::file_kind(bytes)};
  }
  const auto header = static_cast<std::size_t>(length);
  const auto data = bytes.subspan(8 + header);

  const auto document = json_file::parse<checkpoint_error>(name, "header", detail::as_text(bytes.subspan(8, header)));
  const json_object json{document, document.root()};
  std::vector<detail::safetensors_entry> entries;
  for (const auto& [key, value] : json.members()) {
    if (key != "__metadata__") {
      entries.push_back(detail::read_safetensors_entry(document, key, value));
      continue;
    }
    const json_object metadata{document, value, "__metadata__"};
    for (const auto& [inner, text] : metadata.members()) {
      if (!text.is_string()) metadata.refuse(inner, "a string", text.description());
    }
  }

  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return std::pair{a.begin, a.end} < std::pair{b.begin, b.end};
  });
  std::size_t place = 0;
  for (const auto& entry : entries) {
    if (entry.begin != place) {
      throw checkpoint_error{name, "tensor " + detail::quoted(entry.name) + ".data_offsets",
                             "to begin at " + std::to_string(place) + ", where the tensor before ends",
                             std::to_string(entry.begin)};
    }
    place = entry.end;
  }
  if (place != data.size()) {
    throw checkpoint_error{name, "", std::to_string(place) + " bytes after the header, as its offsets say",
                           std::to_string(data.size())};
  }

  tensor_table table;
  for (auto& entry : entries) {
    const auto type = detail::safetensors_dtype(entry.type);
    if (!type) {
      table.unsupported.emplace(entry.name, entry.type);
      continue;
    }
    auto strides = detail::row_major_strides(entry.shape);
    table.tensors.emplace(entry.name, stored_tensor{std::string{entry.name}, *type, std::move(entry.shape),
                                                    std::move(strides), data.data() + entry.begin, file});
  }
  return table;
}

}  // namespace optscope
