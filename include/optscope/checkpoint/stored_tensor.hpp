// SPDX-License-Identifier: MIT
#pragma once
// One tensor inside a mapped checkpoint file, as it is stored.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optscope/core/compiled.hpp>
#include <optscope/core/dtype.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

namespace optscope {

/// Refers to a tensor's bytes in a mapped file and keeps the mapping alive; nothing is read until it is copied.
/// The readers have checked that every element lies inside the file.
///
///     const stored_tensor& weight = files.at("decoder.layers.0.fc1.weight");
///     if (weight.shape() != std::vector<std::size_t>{3072, 768}) ...
///     std::vector<float> values(weight.size());
///     weight.copy_to(values.data());  // (out, in)
class stored_tensor {
 public:
  /// `strides` in elements, one for every axis; `data` any alignment.
  stored_tensor(std::string name, dtype type, std::vector<std::size_t> shape, std::vector<std::size_t> strides,
                const std::byte* data, std::shared_ptr<const mapped_file> file);

  /// Name as in the file.
  [[nodiscard]] const std::string& name() const noexcept { return name_; }
  [[nodiscard]] dtype type() const noexcept { return type_; }
  [[nodiscard]] const std::vector<std::size_t>& shape() const noexcept { return shape_; }
  [[nodiscard]] const std::vector<std::size_t>& strides() const noexcept { return strides_; }
  [[nodiscard]] const std::byte* data() const noexcept { return data_; }
  [[nodiscard]] const std::filesystem::path& file() const noexcept { return file_->path(); }

  [[nodiscard]] std::size_t size() const noexcept { return inner_size(0); }
  [[nodiscard]] std::size_t rows() const noexcept { return shape_.empty() ? 1 : shape_[0]; }
  [[nodiscard]] std::size_t row_size() const noexcept { return inner_size(1); }  ///< elements in one row

  /// Whether it is row-major without gaps; the stride of an axis of length 1 does not matter.
  [[nodiscard]] bool contiguous() const noexcept { return contiguous_from(0); }

  /// The values in place if they are stored as `T`, contiguous and aligned; null otherwise.
  template <class T>
  [[nodiscard]] const T* direct() const noexcept {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
    const bool fits = type_ == (std::is_same_v<T, float> ? dtype::f32 : dtype::f64) && contiguous() &&
                      reinterpret_cast<std::uintptr_t>(data_) % alignof(T) == 0;
    return fits ? reinterpret_cast<const T*>(data_) : nullptr;
  }

  /// Asks the system to read rows of a contiguous tensor from the disk; does not wait for them.
  void read_ahead(std::size_t first, std::size_t count) const noexcept;

  /// Copies all elements in row-major order, converted to float or double.
  template <class To>
  void copy_to(To* target) const;

  /// Copies rows first to first + count, which must exist, in row-major order, converted to float or double.
  template <class To>
  void copy_rows(std::size_t first, std::size_t count, To* target) const;

 private:
  [[nodiscard]] std::size_t inner_size(std::size_t axis) const noexcept;
  [[nodiscard]] bool contiguous_from(std::size_t first) const noexcept;

  /// The elements of axes `axis` and later, from `source`; all these axes have elements.
  template <class To>
  void copy(std::size_t axis, const std::byte* source, To* target) const;

  std::string name_;
  dtype type_;
  std::vector<std::size_t> shape_, strides_;
  const std::byte* data_;
  std::shared_ptr<const mapped_file> file_;
};

/// The tensors of one file by name. Tensors of integers and 8-bit types, which nothing here computes with, are only
/// listed.
struct tensor_table {
  std::map<std::string, stored_tensor, std::less<>> tensors;
  std::map<std::string, std::string, std::less<>> unsupported;  ///< name to type, such as `I64` or `LongStorage`
};

namespace detail {

/// Strides of a row-major tensor.
[[nodiscard]] std::vector<std::size_t> row_major_strides(std::span<const std::size_t> shape);

}  // namespace detail
}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/stored_tensor.ipp>
#endif
