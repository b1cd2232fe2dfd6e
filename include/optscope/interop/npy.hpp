// SPDX-License-Identifier: MIT
#pragma once
// Reads and writes numpy's .npy files, strictly: what is not exactly as asked for is refused.

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/tensor.hpp>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
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

/// A .npy file that has been checked.
struct npy_array {
  mapped_file file;
  std::vector<std::size_t> shape;
  std::span<const std::byte> data;  // of `file`
};

/// Throws `array_error` if the file has a different element type or rank, or not exactly the size of its shape.
[[nodiscard]] npy_array open_npy(const std::filesystem::path& path, std::string_view type, std::size_t element_size,
                                 std::size_t rank);

/// Magic, version 1.0, length and dict, padded so that the data begin at a multiple of 64 bytes, as numpy does it.
[[nodiscard]] std::string npy_header_text(std::string_view type, std::span<const std::size_t> shape);

/// Throws `std::logic_error`.
[[noreturn]] void refuse_npy_size(const char* more_or_less);

}  // namespace detail

/// Reads an array of exactly this type and rank: C order, little endian, versions 1.0 to 3.0. Throws `file_error` if
/// the file cannot be opened, `array_error` if it is not a .npy file, has a different type, order or rank, or has not
/// exactly the size that its header says; memory is allocated only after that.
///
///     const tensor<float, 3> similarity = read_npy<float, 3>("attn_out-cosine.npy");  // (layer, vector, vector)
template <npy_element T, std::size_t Rank>
[[nodiscard]] tensor<T, Rank> read_npy(const std::filesystem::path& path) {
  const detail::npy_array array = detail::open_npy(path, detail::npy_type<T>(), sizeof(T), Rank);
  std::array<std::size_t, Rank> shape;
  std::copy(array.shape.begin(), array.shape.end(), shape.begin());
  tensor<T, Rank> result{shape};
  if (!array.data.empty()) std::memcpy(result.data(), array.data.data(), array.data.size());
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
    if (values.size() > left_) detail::refuse_npy_size("more");
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
    if (left_ != 0) detail::refuse_npy_size("less");
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

#ifndef OPTSCOPE_COMPILED
#include <optscope/interop/npy.ipp>
#endif
