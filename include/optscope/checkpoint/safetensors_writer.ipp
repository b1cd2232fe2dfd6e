// SPDX-License-Identifier: MIT
#pragma once
// Bodies of safetensors_writer.hpp.

#include <algorithm>
#include <cstdint>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/core/json_writer.hpp>
#include <set>
#include <stdexcept>
#include <string_view>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE safetensors_header::safetensors_header(const std::vector<safetensors_item>& items,
                                                       const std::map<std::string, std::string>& metadata) {
  json_writer json;
  json.begin_object();
  if (!metadata.empty()) {
    json.key("__metadata__").begin_object();
    for (const auto& [key, value] : metadata) json.field(key, value);
    json.end_object();
  }
  std::set<std::string_view> names{"__metadata__"};
  std::size_t place = 0;
  for (const safetensors_item& item : items) {
    if (!names.insert(item.name).second) throw std::logic_error{"safetensors: name used twice: " + item.name};
    const auto elements = detail::checked_size(item.shape);
    const auto bytes = elements ? detail::checked_product(*elements, size_of(item.type)) : elements;
    const auto end = bytes ? detail::checked_sum(place, *bytes) : bytes;
    if (!end) throw std::logic_error{"safetensors: shape too large: " + item.name};
    if (place % size_of(item.type) != 0) {
      throw std::logic_error{"safetensors: not aligned, list wider types first: " + item.name};
    }
    json.key(item.name).begin_object().field("dtype", name_of(item.type));
    json.key("shape").begin_array();
    for (const std::size_t extent : item.shape) json.value(extent);
    json.end_array().key("data_offsets").begin_array().value(place).value(*end).end_array().end_object();
    place = *end;
    ends.push_back(place);
  }
  json.end_object();
  data_size = place;
  std::string json_text = json.text();
  json_text.resize((json_text.size() + 7) / 8 * 8, ' ');
  const std::uint64_t length = json_text.size();
  text.assign(reinterpret_cast<const char*>(&length), sizeof length);
  text += json_text;
}

OPTSCOPE_INLINE safetensors_writer::safetensors_writer(const std::filesystem::path& path,
                                                       std::vector<safetensors_item> items,
                                                       const std::map<std::string, std::string>& metadata)
    : items_{std::move(items)}, file_{path} {
  const safetensors_header header{items_, metadata};
  ends_ = header.ends;
  file_.write(header.text);
}

OPTSCOPE_INLINE void safetensors_writer::append_stored(std::span<const std::byte> bytes, dtype type) {
  while (!bytes.empty()) {
    while (current_ < items_.size() && written_ == ends_[current_]) ++current_;
    if (current_ == items_.size()) throw std::logic_error{"safetensors: more data than announced"};
    if (items_[current_].type != type) {
      throw std::logic_error{"safetensors: " + items_[current_].name + " is " +
                             std::string{name_of(items_[current_].type)} + ", not " + std::string{name_of(type)}};
    }
    const auto piece = bytes.first(std::min(bytes.size(), ends_[current_] - written_));
    file_.write(piece);
    written_ += piece.size();
    bytes = bytes.subspan(piece.size());
  }
}

OPTSCOPE_INLINE void safetensors_writer::commit() {
  if (!ends_.empty() && written_ != ends_.back()) throw std::logic_error{"safetensors: less data than announced"};
  file_.commit();
}

}  // namespace optscope
