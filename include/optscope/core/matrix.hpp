// SPDX-License-Identifier: MIT
#pragma once
// A matrix of weights as it is stored: its elements have a type of files, and are used as float or double.

#include <algorithm>
#include <array>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/core/dtype.hpp>
#include <optscope/core/tensor.hpp>
#include <type_traits>

namespace optscope {

/// A view of a row-major matrix whose elements are F16, BF16, F32 or T itself, at any alignment; T is float or double,
/// what it is used as. Or they are I8, in the host's memory: then an element is that times its row's scale. Its rows
/// may lie in up to three blocks of equally many, as those of W_Q, W_K and W_V do.
///
///     matrix_view<float> w{bytes, dtype::f16, {3072, 768}};  // where a checkpoint has them
///     matrix_view<float> own = values;                       // (out, in): a tensor_view<const float, 2>, or a tensor
///     backend.linear(x, w, bias, y);
///     std::vector<float> row(w.cols());
///     w.copy_rows(17, 1, row.data());
///
/// Copying a view copies pointers. `Space` is whose memory it refers to: code that reads elements of a device's does
/// not compile.
template <class T, class Space = host_memory>
class matrix_view {
  static_assert(std::is_same_v<T, float> || std::is_same_v<T, double>);

 public:
  using value_type = T;
  using space = Space;
  using pointer = pointer_to<const std::byte, Space>;
  static constexpr dtype own_type = std::is_same_v<T, float> ? dtype::f32 : dtype::f64;

  matrix_view() = default;
  template <class Values>
    requires std::convertible_to<const Values&, tensor_view<const T, 2, Space>>
  matrix_view(const Values& values) {
    const tensor_view<const T, 2, Space> rows = values;
    parts_[0] = detail::as_pointer_to<const std::byte>(rows.data());
    shape_ = rows.shape();
    stride_ = rows.stride();
  }
  matrix_view(pointer_to<const T, Space> values, std::array<std::size_t, 2> shape)
      : matrix_view{detail::as_pointer_to<const std::byte>(values), own_type, shape} {}
  /// `type` is not `f64` for a matrix of float.
  matrix_view(pointer data, dtype type, std::array<std::size_t, 2> shape) : matrix_view{data, type, shape, shape[1]} {}
  /// `stride`: elements from row to row.
  matrix_view(pointer data, dtype type, std::array<std::size_t, 2> shape, std::size_t stride)
      : parts_{data, nullptr, nullptr}, type_{type}, shape_{shape}, stride_{stride} {
    assert(usable(type));
  }
  /// Elements of type `i8` with a scale for each row.
  matrix_view(const std::int8_t* data, const float* scales, std::array<std::size_t, 2> shape)
    requires(Space::host)
      : matrix_view{reinterpret_cast<const std::byte*>(data), dtype::i8, shape} {
    scales_[0] = scales;
  }
  /// The rows of three matrices one after the other; all have the same type, shape and stride.
  matrix_view(const matrix_view& a, const matrix_view& b, const matrix_view& c) : matrix_view{a} {
    assert(a.type_ == b.type_ && a.type_ == c.type_ && a.shape_ == b.shape_ && a.shape_ == c.shape_);
    assert(a.stride_ == b.stride_ && a.stride_ == c.stride_);
    parts_ = {a.row(0), b.row(0), c.row(0)};
    if (a.scaled()) scales_ = {a.scales(0), b.scales(0), c.scales(0)};
    first_ = 0;
    part_rows_ = a.rows();
    shape_[0] *= 3;
  }

  /// Whether a matrix of this type can be used as T without a copy.
  [[nodiscard]] static constexpr bool usable(dtype type) noexcept { return type != dtype::f64 || own_type == type; }

  [[nodiscard]] dtype type() const noexcept { return type_; }
  [[nodiscard]] bool scaled() const noexcept { return type_ == dtype::i8; }
  [[nodiscard]] const std::array<std::size_t, 2>& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t rows() const noexcept { return shape_[0]; }
  [[nodiscard]] std::size_t cols() const noexcept { return shape_[1]; }
  [[nodiscard]] std::size_t size() const noexcept { return shape_[0] * shape_[1]; }
  [[nodiscard]] std::size_t row_bytes() const noexcept { return shape_[1] * size_of(type_); }
  [[nodiscard]] std::size_t stride() const noexcept { return stride_; }  ///< elements from row to row of a block

  /// The bytes of a row, or where they would be if the matrix were longer.
  [[nodiscard]] pointer row(std::size_t i) const noexcept {
    std::size_t part = 0;
    for (i += first_; i >= part_rows_ && part + 1 < parts_.size(); ++part) i -= part_rows_;
    return parts_[part] + i * stride_ * size_of(type_);
  }

  /// Where the scale of row i is, and those of the rows after it in the same block. The matrix is `scaled`.
  [[nodiscard]] const float* scales(std::size_t i) const noexcept {
    std::size_t part = 0;
    for (i += first_; i >= part_rows_ && part + 1 < parts_.size(); ++part) i -= part_rows_;
    return scales_[part] + i;
  }

  /// How many rows from row i on, which is one of the matrix, lie in one block, each `stride()` after the one before.
  [[nodiscard]] std::size_t rows_in_block(std::size_t i) const noexcept {
    const std::size_t left = rows() - i;
    std::size_t part = 0;
    for (i += first_; i >= part_rows_ && part + 1 < parts_.size(); ++part) i -= part_rows_;
    return part + 1 < parts_.size() ? std::min(left, part_rows_ - i) : left;
  }

  /// Rows first to first + count.
  [[nodiscard]] matrix_view slice(std::size_t first, std::size_t count) const {
    assert(first <= rows() && count <= rows() - first);
    matrix_view result{*this};
    result.first_ += first;
    result.shape_[0] = count;
    return result;
  }
  /// Columns first to first + count.
  [[nodiscard]] matrix_view columns(std::size_t first, std::size_t count) const {
    assert(first <= cols() && count <= cols() - first);
    matrix_view result{*this};
    for (pointer& part : result.parts_) {
      if (part != nullptr) part = part + first * size_of(type_);
    }
    result.shape_[1] = count;
    return result;
  }

  /// Copies rows first to first + count as float or double.
  template <class To>
  void copy_rows(std::size_t first, std::size_t count, To* to) const {
    require_host();
    for (std::size_t i = 0; i < count; ++i, to += cols()) {
      convert(row(first + i), type_, cols(), to);
      for (std::size_t k = 0; scaled() && k < cols(); ++k) to[k] *= static_cast<To>(*scales(first + i));
    }
  }
  /// Copies all of it as T: (rows, cols).
  void copy_to(T* to) const { copy_rows(0, rows(), to); }
  [[nodiscard]] tensor<T, 2> values_copied() const {
    tensor<T, 2> result{shape_};
    copy_to(result.data());
    return result;
  }

  /// Whether it is stored as T, in one block and aligned: then `values` refers to it.
  [[nodiscard]] bool holds_values() const noexcept {
    require_host();
    return type_ == own_type && (size() == 0 || (first_ + rows() - 1) / part_rows_ == first_ / part_rows_) &&
           reinterpret_cast<std::uintptr_t>(row(0)) % alignof(T) == 0;
  }
  [[nodiscard]] tensor_view<const T, 2> values() const {
    assert(holds_values());
    return {reinterpret_cast<const T*>(row(0)), shape_, stride_};
  }

 private:
  static constexpr void require_host() {
    static_assert(Space::host, "the host cannot read this matrix, which is in a device's memory");
  }

  std::array<pointer, 3> parts_{};
  std::array<const float*, 3> scales_{};  // of the rows of each part, if the type is i8
  dtype type_ = own_type;
  std::size_t first_ = 0;                                            // row of the first part that the view begins with
  std::size_t part_rows_ = std::numeric_limits<std::size_t>::max();  // of each part
  std::array<std::size_t, 2> shape_{};
  std::size_t stride_ = 0;  // elements from row to row
};

}  // namespace optscope
