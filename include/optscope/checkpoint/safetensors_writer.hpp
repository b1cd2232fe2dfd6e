// SPDX-License-Identifier: MIT
#pragma once
// Writes safetensors files piece by piece.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/core/dtype.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/tensor_writer.hpp>
#include <set>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// What a safetensors file is to hold, decided before any of it is written.
struct safetensors_item {
  std::string name;
  std::vector<std::size_t> shape;
  dtype type = dtype::f32;
};

/// What such a file begins with: the length of the header and the header. Throws `std::logic_error` as
/// `safetensors_writer` does.
struct safetensors_header {
  std::string text;
  std::vector<std::size_t> ends;  ///< of each item, in the data
  std::size_t data_size = 0;      ///< bytes behind `text`

  safetensors_header(const std::vector<safetensors_item>& items, const std::map<std::string, std::string>& metadata) {
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
};

/// Writes the header at once and then the tensors one after another, each in as many pieces as is convenient, so that
/// nothing is kept in memory. The file appears under its name at `commit()`.
///
///     #include <optscope/checkpoint/safetensors_writer.hpp>
///
///     int main() {
///       optscope::safetensors_writer file{"out.safetensors", {{"0.attn_out.11", {2, 3}}, {"0.resid_post.11", {1,
///       3}}}}; const std::vector<float> row{1, 2, 3}; for (int i = 0; i < 3; ++i) file.append(std::span<const
///       float>{row}); file.commit();
///     }
///
/// Throws `file_error` and `write_error` as `output_file` does, `std::logic_error` if names repeat, a narrower type
/// leaves a wider one unaligned (torch refuses such files), a piece is of
/// another type than the tensor that it continues, or more or less is written than was announced.
class safetensors_writer {
 public:
  using item_type = safetensors_item;

  safetensors_writer(const std::filesystem::path& path, std::vector<safetensors_item> items,
                     const std::map<std::string, std::string>& metadata = {{"format", "pt"}})
      : items_{std::move(items)}, file_{path} {
    const safetensors_header header{items_, metadata};
    ends_ = header.ends;
    file_.write(header.text);
  }

  /// The next elements, row-major; they may go beyond the end of a tensor into the next one of the same type.
  template <class T>
  void append(std::span<const T> values) {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>, "F32 and F64; others as stored bytes");
    append_stored(std::as_bytes(values), std::is_same_v<T, float> ? dtype::f32 : dtype::f64);
  }
  template <class T>
  void append(const std::vector<T>& values) {
    append(std::span<const T>{values});
  }

  /// The next elements as they are stored elsewhere, such as F16 weights taken over from another file.
  void append_stored(std::span<const std::byte> bytes, dtype type) {
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

  void commit() {
    if (!ends_.empty() && written_ != ends_.back()) throw std::logic_error{"safetensors: less data than announced"};
    file_.commit();
  }

 private:
  std::vector<safetensors_item> items_;
  std::vector<std::size_t> ends_;
  output_file file_;
  std::size_t current_ = 0, written_ = 0;
};

static_assert(tensor_writer<safetensors_writer, float> && tensor_writer<safetensors_writer, double>);

}  // namespace optscope
