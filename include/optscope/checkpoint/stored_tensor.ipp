// SPDX-License-Identifier: MIT
#pragma once
// Bodies of stored_tensor.hpp.

#include <cassert>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE stored_tensor::stored_tensor(std::string name, dtype type, std::vector<std::size_t> shape,
                                             std::vector<std::size_t> strides, const std::byte* data,
                                             std::shared_ptr<const mapped_file> file)
    : name_{std::move(name)},
      type_{type},
      shape_{std::move(shape)},
      strides_{std::move(strides)},
      data_{data},
      file_{std::move(file)} {
  assert(shape_.size() == strides_.size());
}

OPTSCOPE_INLINE void stored_tensor::read_ahead(std::size_t first, std::size_t count) const noexcept {
  const std::size_t bytes = row_size() * size_of(type_);
  if (contiguous()) optscope::read_ahead({data_ + first * bytes, count * bytes});
}

OPTSCOPE_INLINE std::size_t stored_tensor::inner_size(std::size_t axis) const noexcept {
  std::size_t size = 1;
  for (; axis < shape_.size(); ++axis) size *= shape_[axis];
  return size;
}

OPTSCOPE_INLINE bool stored_tensor::contiguous_from(std::size_t first) const noexcept {
  std::size_t expected = 1;
  for (std::size_t axis = shape_.size(); axis-- > first;) {
    if (shape_[axis] != 1 && strides_[axis] != expected) return false;
    expected *= shape_[axis];
  }
  return true;
}

template <class To>
void stored_tensor::copy_to(To* target) const {
  if (size() != 0) copy(0, data_, target);
}

template <class To>
void stored_tensor::copy_rows(std::size_t first, std::size_t count, To* target) const {
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

template <class To>
void stored_tensor::copy(std::size_t axis, const std::byte* source, To* target) const {
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

namespace detail {

OPTSCOPE_INLINE std::vector<std::size_t> row_major_strides(std::span<const std::size_t> shape) {
  std::vector<std::size_t> strides(shape.size());
  std::size_t stride = 1;
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    strides[axis] = stride;
    stride *= shape[axis];  // wraps only if some extent is 0, where no stride is ever used
  }
  return strides;
}

}  // namespace detail

#ifdef OPTSCOPE_COMPILED
template void stored_tensor::copy_to<float>(float*) const;
template void stored_tensor::copy_to<double>(double*) const;
template void stored_tensor::copy_rows<float>(std::size_t, std::size_t, float*) const;
template void stored_tensor::copy_rows<double>(std::size_t, std::size_t, double*) const;
#endif

}  // namespace optscope
