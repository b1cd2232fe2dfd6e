// SPDX-License-Identifier: MIT
#pragma once
// Writes safetensors files piece by piece.

#include <cstddef>
#include <filesystem>
#include <map>
#include <optscope/core/compiled.hpp>
#include <optscope/core/dtype.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/tensor_writer.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace optscope {

/// A tensor of a safetensors file, announced before any of the file is written.
struct safetensors_item {
  std::string name;
  std::vector<std::size_t> shape;
  dtype type = dtype::f32;
};

/// The first bytes of a safetensors file: the length of the header and the header. Throws `std::logic_error` as
/// `safetensors_writer` does.
struct safetensors_header {
  std::string text;
  std::vector<std::size_t> ends;  ///< of each item, in the data
  std::size_t data_size = 0;      ///< bytes after `text`

  safetensors_header(const std::vector<safetensors_item>& items, const std::map<std::string, std::string>& metadata);
};

/// Writes the header at once and then the tensors one after another, each in any number of pieces, so that nothing is
/// kept in memory. The file appears under its name at `commit()`.
///
///     #include <optscope/checkpoint/safetensors_writer.hpp>
///
///     int main() {
///       optscope::safetensors_writer file{"out.safetensors",
///                                         {{.name = "attn_out", .shape = {2, 3}}, {.name = "bias", .shape = {3}}}};
///       const std::vector<float> row{1, 2, 3};
///       for (int i = 0; i < 3; ++i) file.append(row);
///       file.commit();
///     }
///
/// Throws `file_error` and `write_error` as `output_file` does. Throws `std::logic_error` if a name is used twice, if a
/// narrower type leaves a wider one unaligned (torch refuses such files), if a piece is not of the type of the tensor
/// that it continues, or if more or less is written than was announced.
class safetensors_writer {
 public:
  using item_type = safetensors_item;

  safetensors_writer(const std::filesystem::path& path, std::vector<safetensors_item> items,
                     const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

  /// The next elements, row-major; they may cross the end of a tensor into the next one of the same type.
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
  void append_stored(std::span<const std::byte> bytes, dtype type);

  void commit();

 private:
  std::vector<safetensors_item> items_;
  std::vector<std::size_t> ends_;
  output_file file_;
  std::size_t current_ = 0, written_ = 0;
};

static_assert(tensor_writer<safetensors_writer, float> && tensor_writer<safetensors_writer, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/safetensors_writer.ipp>
#endif
