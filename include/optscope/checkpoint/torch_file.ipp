// SPDX-License-Identifier: MIT
#pragma once
// Bodies of torch_file.hpp.

#include <charconv>
#include <cstddef>
#include <memory>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/checkpoint/file_kind.hpp>
#include <optscope/checkpoint/torch_file.hpp>
#include <optscope/checkpoint/torch_pickle.hpp>
#include <optscope/checkpoint/torch_zip.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/utf8.hpp>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace optscope {

namespace detail {

/// The records beside data.pkl that say how to read it.
inline void check_torch_archive(const std::string& file, const torch_zip& zip) {
  if (zip.find("data.pkl") == nullptr)
    throw checkpoint_error{file, "record data.pkl", "this record", "none in the archive"};
  if (zip.find("constants.pkl") != nullptr) {
    throw checkpoint_error{file, "", "tensors saved by torch.save", "a TorchScript archive"};
  }
  if (const auto* order = zip.find("byteorder"); order != nullptr && as_text(*order) != "little") {
    throw checkpoint_error{file, "record byteorder", "\"little\"", quoted(as_text(*order))};
  }
  if (const auto* version = zip.find("version"); version != nullptr) {
    const std::string_view text = as_text(*version);
    int number = 0;
    const auto end = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = end.ec == std::errc{} && (end.ptr == text.data() + text.size() || *end.ptr == '\n');
    if (!whole || number < 1 || number > 10) {
      throw checkpoint_error{file, "record version", "1 to 10", quoted(text)};
    }
  }
}

/// The dict with the tensors: the top one, or the one under "state_dict" or "model" that training programs wrap.
[[nodiscard]] inline const pickle_value& find_state_dict(const std::string& file, const torch_pickle& pickle) {
  const pickle_value* dict = &pickle.top();
  for (int level = 0; level < 3; ++level) {
    if (dict->kind != pickle_value::dict) break;
    const pickle_value *wrapped = nullptr, *less_likely = nullptr;
    for (std::size_t i = 0; i < dict->items.size(); i += 2) {
      const pickle_value& key = pickle.value(dict->items[i]);
      const pickle_value& item = pickle.value(dict->items[i + 1]);
      if (item.kind == pickle_value::tensor) return *dict;
      if (key.kind != pickle_value::text || item.kind != pickle_value::dict) continue;
      if (key.string == "state_dict") wrapped = &item;
      if (key.string == "model") less_likely = &item;
    }
    if (wrapped == nullptr) wrapped = less_likely;
    if (wrapped == nullptr) return *dict;
    dict = wrapped;
  }
  throw checkpoint_error{file, "data.pkl", "a dict of names to tensors", pickle.description(*dict)};
}

}  // namespace detail

OPTSCOPE_INLINE tensor_table read_torch(const std::filesystem::path& path) {
  const auto file = std::make_shared<const mapped_file>(path);
  const std::string name = path.string();
  const auto bytes = file->bytes();
  if (detail::as_text(bytes).substr(0, 4) != std::string_view{"PK\x03\x04"}) {
    throw checkpoint_error{name, "", "a zip archive, as torch.save writes it", detail::file_kind(bytes)};
  }
  const detail::torch_zip zip{name, bytes};
  detail::check_torch_archive(name, zip);
  const detail::torch_pickle pickle{name, zip, *zip.find("data.pkl")};
  const detail::pickle_value& dict = detail::find_state_dict(name, pickle);

  tensor_table table;
  for (std::size_t i = 0; i < dict.items.size(); i += 2) {
    const auto& key = pickle.value(dict.items[i]);
    const auto& value = pickle.value(dict.items[i + 1]);
    if (key.kind != detail::pickle_value::text) {
      throw checkpoint_error{name, "data.pkl", "names of tensors as keys", pickle.description(key)};
    }
    const std::string tensor_name{key.string};
    if (const auto wrong = utf8::first_error(tensor_name)) {
      throw checkpoint_error{name, "tensor " + detail::quoted(tensor_name), "a name in UTF-8",
                             "byte " + std::to_string(static_cast<unsigned char>(tensor_name[*wrong]))};
    }
    if (value.kind != detail::pickle_value::tensor) continue;  // a counter or a setting
    const auto& tensor = pickle.tensor(value);
    const auto& storage = pickle.storage(tensor);
    const bool fresh =
        storage.type->type
            ? table.tensors
                  .emplace(tensor_name, stored_tensor{tensor_name, *storage.type->type, tensor.shape, tensor.strides,
                                                      storage.bytes.data() + tensor.offset * storage.type->bytes, file})
                  .second
            : table.unsupported.emplace(tensor_name, storage.type->name).second;
    if (!fresh || (table.tensors.count(tensor_name) != 0 && table.unsupported.count(tensor_name) != 0)) {
      throw checkpoint_error{name, "duplicate tensor " + detail::quoted(tensor_name), "", ""};
    }
  }
  return table;
}

}  // namespace optscope
