// SPDX-License-Identifier: MIT
#pragma once
// One tensor inside a mapped checkpoint file, as it is stored.

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optscope/core/dtype.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
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
                const std::byte* data, std::shared_ptr<const mapped_file> file)
      : name_{std::move(name)},
        type_{type},
        shape_{std::move(shape)},
        strides_{std::move(strides)},
        data_{data},
        file_{std::move(file)} {
    assert(shape_.size() == strides_.size());
  }

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

  /// Row-major without gaps; the stride of an axis of one element does not matter.
  [[nodiscard]] bool contiguous() const noexcept { return contiguous_from(0); }

  /// The values in place if they are stored as `T`, contiguous and aligned, else null.
  template <class T>
  [[nodiscard]] const T* direct() const noexcept {
    static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);
    const bool fits = type_ == (std::is_same_v<T, float> ? dtype::f32 : dtype::f64) && contiguous() &&
                      reinterpret_cast<std::uintptr_t>(data_) % alignof(T) == 0;
    return fits ? reinterpret_cast<const T*>(data_) : nullptr;
  }

  /// Asks the system to read rows of a contiguous tensor from the disk; does not wait.
  void read_ahead(std::size_t first, std::size_t count) const noexcept {
    const std::size_t bytes = row_size() * size_of(type_);
    if (contiguous()) optscope::read_ahead({data_ + first * bytes, count * bytes});
  }

  /// All elements in row-major order, converted to float or double.
  template <class To>
  void copy_to(To* target) const {
    if (size() != 0) copy(0, data_, target);
  }

  /// Rows first to first + count, which must exist, in row-major order: a gather from an embedding table.
  template <class To>
  void copy_rows(std::size_t first, std::size_t count, To* target) const {
    assert(!shape_.empty() && first <= rows() && count <= rows() - first);
    const std::size_t width = row_size();
    if (width == 0) return;
    if (contiguous()) {
      convert(data_ + first * width * size_of(type_), type_, count * width, target);
      return;
    }
    for (std::size_t row = 0; row < count; ++row) {
      copy(1, data_ + (first + row) * strides_[0] * size_of(type_), target + row * width);
    }
  }

 private:
  [[nodiscard]] std::size_t inner_size(std::size_t axis) const noexcept {
    std::size_t size = 1;
    for (; axis < shape_.size(); ++axis) size *= shape_[axis];
    return size;
  }

  [[nodiscard]] bool contiguous_from(std::size_t first) const noexcept {
    std::size_t expected = 1;
    for (std::size_t axis = shape_.size(); axis-- > first;) {
      if (shape_[axis] != 1 && strides_[axis] != expected) return false;
      expected *= shape_[axis];
    }
    return true;
  }

  /// The elements of axes `axis` and later, from `source`; all these axes have elements.
  template <class To>
  void copy(std::size_t axis, const std::byte* source, To* target) const {
    if (contiguous_from(axis)) {
      convert(source, type_, inner_size(axis), target);
      return;
    }
    const std::size_t last = shape_.size() - 1;  // not contiguous, so there is an axis
    const std::size_t width = shape_[last], bytes = size_of(type_), total = inner_size(axis);
    std::vector<std::size_t> index(shape_.size(), 0);
    for (std::size_t done = 0; done < total; done += width) {
      std::size_t offset = 0;
      for (std::size_t i = axis; i < last; ++i) offset += index[i] * strides_[i];
      const std::byte* row = source + offset * bytes;
      if (strides_[last] == 1) {
        convert(row, type_, width, target + done);
      } else {
        for (std::size_t i = 0; i < width; ++i) convert(row + i * strides_[last] * bytes, type_, 1, target + done + i);
      }
      for (std::size_t i = last; i-- > axis && ++index[i] == shape_[i];) index[i] = 0;
    }
  }

  std::string name_;
  dtype type_;
  std::vector<std::size_t> shape_, strides_;
  const std::byte* data_;
  std::shared_ptr<const mapped_file> file_;
};

/// The tensors of one file by name. Those of types that are not computed with (integers, 8 bits) are listed, not kept.
struct tensor_table {
  std::map<std::string, stored_tensor, std::less<>> tensors;
  std::map<std::string, std::string, std::less<>> unsupported;  ///< name to type, such as `I64` or `LongStorage`
};

namespace detail {

/// Strides of a row-major tensor.
[[nodiscard]] inline std::vector<std::size_t> row_major_strides(std::span<const std::size_t> shape) {
  std::vector<std::size_t> strides(shape.size());
  std::size_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= shape[axis];  // wraps only if some extent is 0, where no stride is ever used
  }
  return strides;
}

}  // namespace detail
}  // namespace optscope
