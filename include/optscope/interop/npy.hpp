// SPDX-License-Identifier: MIT
#pragma once
// Reads and writes numpy's .npy files, strictly: what is not exactly as asked for is refused.

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optional>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/tensor.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// Element types of .npy files here: float, double, 32 and 64 bit integers.
template <class T>
concept npy_element = std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, std::int32_t> ||
                      std::is_same_v<T, std::int64_t>;

namespace detail {

static_assert(std::endian::native == std::endian::little, ".npy files are little endian here and are not swapped");

template <npy_element T>
[[nodiscard]] constexpr std::string_view npy_type() noexcept {
  if constexpr (std::is_floating_point_v<T>) {
    return sizeof(T) == 4 ? "<f4" : "<f8";
  } else {
    return sizeof(T) == 4 ? "<i4" : "<i8";
  }
}

struct npy_header {
  std::string_view type;
  bool fortran_order = false;
  std::vector<std::size_t> shape;
};

/// Parses the Python dict of a header: exactly the three keys, in any order, each once.
class npy_header_parser {
 public:
  npy_header_parser(std::string file, std::string_view text) : file_{std::move(file)}, rest_{text} {}

  [[nodiscard]] npy_header parse() {
    std::optional<std::string_view> type;
    std::optional<bool> fortran;
    std::optional<std::vector<std::size_t>> shape;
    need('{');
    while (!skip('}')) {
      const std::string_view key = string();
      need(':');
      if (key == "descr" && !type) {
        type = string();
      } else if (key == "fortran_order" && !fortran) {
        fortran = truth();
      } else if (key == "shape" && !shape) {
        shape = tuple();
      } else {
        refuse("the keys descr, fortran_order and shape, each once");
      }
      if (!skip(',')) {
        need('}');
        break;
      }
    }
    spaces();
    if (rest_ != "\n") refuse("spaces and a line end after the dict");
    if (!type || !fortran || !shape) refuse("the keys descr, fortran_order and shape");
    return {*type, *fortran, std::move(*shape)};
  }

 private:
  [[noreturn]] void refuse(std::string expected) const {
    throw array_error{file_, "header", std::move(expected),
                      rest_.empty() ? "its end" : detail::quoted(rest_.substr(0, 24))};
  }
  void spaces() { rest_.remove_prefix(std::min(rest_.find_first_not_of(' '), rest_.size())); }
  bool skip(char c) {
    spaces();
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }
  void need(char c) {
    if (!skip(c)) refuse(std::string{"'"} + c + "'");
  }
  std::string_view string() {
    spaces();
    const char quote = rest_.empty() ? '\0' : rest_.front();
    const auto end = quote == '\'' || quote == '"' ? rest_.find(quote, 1) : std::string_view::npos;
    if (end == std::string_view::npos) refuse("a string");
    const std::string_view text = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    return text;
  }
  bool truth() {
    spaces();
    for (const std::string_view word : {"True", "False"}) {
      if (rest_.substr(0, word.size()) == word) {
        rest_.remove_prefix(word.size());
        return word == "True";
      }
    }
    refuse("True or False");
  }
  std::vector<std::size_t> tuple() {
    constexpr std::size_t most_axes = 64;  // numpy's limit
    std::vector<std::size_t> numbers;
    need('(');
    while (!skip(')')) {
      spaces();
      std::size_t number = 0;
      const auto [end, code] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), number);
      if (code != std::errc{} || numbers.size() == most_axes) refuse("a shape of whole numbers");
      rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
      numbers.push_back(number);
      const bool comma = skip(',');
      if (!comma && numbers.size() == 1) refuse("',': a tuple of one number has a comma");
      if (!comma) {
        need(')');
        break;
      }
    }
    return numbers;
  }

  std::string file_;
  std::string_view rest_;
};

[[nodiscard]] inline std::string npy_shape_text(std::span<const std::size_t> shape) {
  std::string text = "(";
  for (const std::size_t extent : shape) text += std::to_string(extent) + (shape.size() == 1 ? "," : ", ");
  if (shape.size() > 1) text.resize(text.size() - 2);
  return text + ")";
}

/// Magic, version 1.0, length and dict, padded so that the data begin at a multiple of 64 bytes, as numpy does it.
[[nodiscard]] inline std::string npy_header_text(std::string_view type, std::span<const std::size_t> shape) {
  std::string dict =
      "{'descr': '" + std::string{type} + "', 'fortran_order': False, 'shape': " + npy_shape_text(shape) + ", }";
  constexpr std::size_t before = 10, alignment = 64;
  dict.append(alignment - 1 - (before + dict.size()) % alignment, ' ');
  dict += '\n';
  std::string text{"\x93NUMPY\x01\x00", 8};
  text += static_cast<char>(dict.size() & 0xff);
  text += static_cast<char>(dict.size() >> 8);
  return text + dict;
}

}  // namespace detail

/// Reads an array of exactly this type and rank: C order, little endian, versions 1.0 to 3.0. Throws `file_error` if
/// the file cannot be opened, `array_error` if it is no .npy file, its type, order or rank is another, or its size is
/// not exactly what the header says; memory is only allocated after that.
///
///     const tensor<float, 3> similarity = read_npy<float, 3>("attn_out-cosine.npy");  // (layer, vector, vector)
template <npy_element T, std::size_t Rank>
[[nodiscard]] tensor<T, Rank> read_npy(const std::filesystem::path& path) {
  const mapped_file file{path};
  const auto bytes = file.bytes();
  const std::string name = path.string();
  const std::string_view text{reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  if (text.substr(0, 6) != "\x93NUMPY") throw array_error{name, "", "a .npy file", "another magic number"};
  const unsigned major = text.size() > 7 ? static_cast<unsigned char>(text[6]) : 0;
  if (major < 1 || major > 3 || text[7] != '\0') {
    throw array_error{name, "version", "1.0, 2.0 or 3.0", text.size() > 7 ? "another" : "the end of the file"};
  }
  const std::size_t length_size = major == 1 ? 2 : 4, before = 8 + length_size;
  std::uint32_t length = 0;  // the low bytes come first
  if (bytes.size() >= before) std::memcpy(&length, bytes.data() + 8, length_size);
  if (bytes.size() < before || bytes.size() - before < length) {
    throw array_error{name, "header", std::to_string(length) + " bytes",
                      std::to_string(bytes.size() - std::min(before, bytes.size()))};
  }
  const auto header = detail::npy_header_parser{name, text.substr(before, length)}.parse();
  if (header.type != detail::npy_type<T>()) {
    throw array_error{name, "descr", std::string{detail::npy_type<T>()}, detail::quoted(header.type)};
  }
  if (header.fortran_order) throw array_error{name, "fortran_order", "False", "True"};
  if (header.shape.size() != Rank) {
    throw array_error{name, "shape", std::to_string(Rank) + " axes", detail::npy_shape_text(header.shape)};
  }

  const auto data = bytes.subspan(before + length);
  std::array<std::size_t, Rank> shape;
  std::size_t room = data.size() / sizeof(T), size = 1;
  bool empty = false;
  for (std::size_t axis = 0; axis < Rank; ++axis) {
    shape[axis] = header.shape[axis];
    empty = empty || shape[axis] == 0;
  }
  for (std::size_t axis = 0; axis < Rank && !empty; ++axis) {
    if (shape[axis] > room / size) {
      throw array_error{name, "data", detail::npy_shape_text(header.shape) + " elements of " + std::string{header.type},
                        std::to_string(data.size()) + " bytes"};
    }
    size *= shape[axis];
  }
  if (empty) size = 0;
  if (data.size() != size * sizeof(T)) {
    throw array_error{name, "data", std::to_string(size * sizeof(T)) + " bytes", std::to_string(data.size())};
  }
  tensor<T, Rank> result{shape};
  if (size != 0) std::memcpy(result.data(), data.data(), data.size());
  return result;
}

/// Writes an array of known shape in pieces, in row-major order, so that it need never be in memory as a whole.
///
///     npy_writer<float, 3> file{"stream.npy", {layers, texts, hidden}};
///     for (...) file.append(rows);  // any number of elements at a time
///     file.commit();
///
/// Throws as `output_file` does, and `std::logic_error` if more or less is written than the shape says.
template <npy_element T, std::size_t Rank>
class npy_writer {
 public:
  npy_writer(const std::filesystem::path& path, std::array<std::size_t, Rank> shape) : file_{path} {
    file_.write(detail::npy_header_text(detail::npy_type<T>(), shape));
    for (const std::size_t extent : shape) left_ *= extent;
  }

  void append(std::span<const T> values) {
    if (values.size() > left_) throw std::logic_error{".npy: more data than its shape says"};
    file_.write(std::as_bytes(values));
    left_ -= values.size();
  }
  /// Every row of a view, whatever its stride.
  template <class U, std::size_t ViewRank>
    requires std::is_same_v<std::remove_const_t<U>, T>
  void append(const tensor_view<U, ViewRank>& values) {
    for (std::size_t row = 0; row < values.rows(); ++row) append(std::span<const T>{values.row(row)});
  }

  void commit() {
    if (left_ != 0) throw std::logic_error{".npy: less data than its shape says"};
    file_.commit();
  }

 private:
  output_file file_;
  std::size_t left_ = 1;
};

/// Writes a whole array, version 1.0, data at a multiple of 64 bytes. Throws as `output_file` does.
template <class T, std::size_t Rank>
  requires npy_element<std::remove_const_t<T>>
void write_npy(const std::filesystem::path& path, const tensor_view<T, Rank>& values) {
  npy_writer<std::remove_const_t<T>, Rank> file{path, values.shape()};
  file.append(values);
  file.commit();
}

template <npy_element T, std::size_t Rank>
void write_npy(const std::filesystem::path& path, const tensor<T, Rank>& values) {
  write_npy(path, values.view());
}

}  // namespace optscope
