// SPDX-License-Identifier: MIT
#pragma once
// Row-major tensors without arithmetic: `tensor_view` refers, `tensor` owns.

#include <array>
#include <cassert>
#include <concepts>
#include <cstddef>
#include <optscope/core/memory_space.hpp>
#include <span>
#include <type_traits>
#include <vector>

namespace optscope {

template <class T, std::size_t Rank, class Space = host_memory>
class tensor_view;

/// Turns views into containers of another library. `interop/xtensor.hpp` specialises it for `xt::xtensor`; specialise
/// it with a function `make` for a container of your own:
///
///     template <>
///     struct optscope::container_from_view<my_matrix> {
///       static my_matrix make(const tensor_view<const float, 2>& view);
///     };
///
/// The container is a copy. `make` takes views of the element type and rank that fit it and no others, so that the
/// conversion of any other view does not compile.
template <class Container>
struct container_from_view;

/// `View` converts to `Container`, by `container_from_view`.
template <class Container, class View>
concept container_of = requires(const View& view) {
  { container_from_view<Container>::make(view) } -> std::same_as<Container>;
};

/// A view of row-major data: the last axis is contiguous, the first may have a stride of its own.
///
///     tensor_view<const float, 2> x = ...;   // (position, hidden)
///     float value = x(3, 17);
///     std::span<const float> row = x.row(3);
///
/// Copying a view copies a pointer. A view converts to a view of const and, with `interop/xtensor.hpp` included, to
/// `xt::xtensor<float, 2>` (a copy). An index outside and a shape that does not fit are assertions.
///
/// `Space` is whose memory it refers to. A view of a device's memory can be cut and reshaped, but code that reads or
/// writes its elements does not compile: a backend lends a view of the host's.
template <class T, std::size_t Rank, class Space>
class tensor_view {
  static_assert(Rank >= 1, "a tensor has at least one axis");

 public:
  using value_type = std::remove_const_t<T>;
  using space = Space;
  using pointer = pointer_to<T, Space>;
  static constexpr std::size_t rank = Rank;

  tensor_view() = default;
  tensor_view(pointer data, std::array<std::size_t, Rank> shape) : data_{data}, shape_{shape}, stride_{inner()} {}
  /// `stride`: elements from one index of the first axis to the next.
  tensor_view(pointer data, std::array<std::size_t, Rank> shape, std::size_t stride)
      : data_{data}, shape_{shape}, stride_{stride} {}

  template <class U>
    requires std::same_as<const U, T>
  tensor_view(const tensor_view<U, Rank, Space>& other) : tensor_view{other.data(), other.shape(), other.stride()} {}

  template <class Container>
    requires(Space::host && container_of<Container, tensor_view>)
  operator Container() const {
    return container_from_view<Container>::make(*this);
  }

  [[nodiscard]] pointer data() const noexcept { return data_; }
  [[nodiscard]] const std::array<std::size_t, Rank>& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t extent(std::size_t axis) const noexcept {
    assert(axis < Rank);
    return shape_[axis];
  }
  [[nodiscard]] std::size_t rows() const noexcept { return shape_[0]; }
  [[nodiscard]] std::size_t cols() const noexcept { return inner(); }  ///< elements in one row, all later axes together
  [[nodiscard]] std::size_t stride() const noexcept { return stride_; }
  [[nodiscard]] std::size_t size() const noexcept { return rows() * cols(); }
  [[nodiscard]] bool contiguous() const noexcept { return stride_ == inner() || rows() <= 1; }

  template <std::integral... Index>
    requires(sizeof...(Index) == Rank)
  T& operator()(Index... index) const {
    require_host();
    const std::array<std::size_t, Rank> at{static_cast<std::size_t>(index)...};
    assert(at[0] < shape_[0]);
    std::size_t offset = 0;
    for (std::size_t axis = 1; axis < Rank; ++axis) {
      assert(at[axis] < shape_[axis]);
      offset = offset * shape_[axis] + at[axis];
    }
    return data_[at[0] * stride_ + offset];
  }

  [[nodiscard]] std::span<T> row(std::size_t i) const {
    require_host();
    assert(i < rows());
    return {data_ + i * stride_, inner()};
  }

  /// Rows first to first + count, without a copy.
  [[nodiscard]] tensor_view slice(std::size_t first, std::size_t count) const {
    assert(first <= rows() && count <= rows() - first);
    auto shape = shape_;
    shape[0] = count;
    return {data_ + first * stride_, shape, stride_};
  }

  /// The same memory with a different shape of equal size; the view must be contiguous unless the first axis is kept.
  template <std::size_t NewRank>
  [[nodiscard]] tensor_view<T, NewRank, Space> reshape(std::array<std::size_t, NewRank> shape) const {
    const bool keeps_rows = shape[0] == shape_[0];
    assert(keeps_rows || contiguous());
    const tensor_view<T, NewRank, Space> packed{data_, shape};
    assert(packed.size() == size());
    return keeps_rows ? tensor_view<T, NewRank, Space>{data_, shape, stride_} : packed;
  }

  /// Of every row, the elements first to first + count: (rows, count), without a copy.
  [[nodiscard]] tensor_view columns(std::size_t first, std::size_t count) const
    requires(Rank == 2)
  {
    assert(first <= inner() && count <= inner() - first);
    return {data_ + first, {rows(), count}, stride_};
  }

 private:
  static constexpr void require_host() {
    static_assert(Space::host,
                  "the host cannot read or write this view, which is of a device's memory: the backend's `read`, "
                  "`write` and `edit` lend a view of the host's");
  }
  [[nodiscard]] std::size_t inner() const noexcept {
    std::size_t product = 1;
    for (std::size_t axis = 1; axis < Rank; ++axis) product *= shape_[axis];
    return product;
  }

  pointer data_ = nullptr;
  std::array<std::size_t, Rank> shape_{};
  std::size_t stride_ = 0;
};

/// Owns what a `tensor_view` refers to; zero-initialised.
template <class T, std::size_t Rank>
class tensor {
 public:
  using value_type = T;
  static constexpr std::size_t rank = Rank;

  tensor() = default;
  explicit tensor(std::array<std::size_t, Rank> shape) : shape_{shape}, data_(product(shape)) {}

  /// Changes the shape; the elements are then unspecified. Allocates only if it never had that many before.
  void resize(std::array<std::size_t, Rank> shape) {
    shape_ = shape;
    data_.resize(product(shape));
  }

  [[nodiscard]] tensor_view<T, Rank> view() { return {data_.data(), shape_}; }
  [[nodiscard]] tensor_view<const T, Rank> view() const { return {data_.data(), shape_}; }
  operator tensor_view<T, Rank>() { return view(); }
  operator tensor_view<const T, Rank>() const { return view(); }

  template <class Container>
    requires container_of<Container, tensor_view<const T, Rank>>
  operator Container() const {
    return container_from_view<Container>::make(view());
  }

  [[nodiscard]] const std::array<std::size_t, Rank>& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t extent(std::size_t axis) const noexcept {
    assert(axis < Rank);
    return shape_[axis];
  }
  [[nodiscard]] std::size_t rows() const noexcept { return shape_[0]; }
  [[nodiscard]] std::size_t cols() const noexcept { return view().cols(); }  ///< as a view's
  [[nodiscard]] std::size_t size() const noexcept { return data_.size(); }
  [[nodiscard]] T* data() noexcept { return data_.data(); }
  [[nodiscard]] const T* data() const noexcept { return data_.data(); }

  template <std::integral... Index>
  T& operator()(Index... index) {
    return view()(index...);
  }
  template <std::integral... Index>
  const T& operator()(Index... index) const {
    return view()(index...);
  }
  [[nodiscard]] std::span<T> row(std::size_t i) { return view().row(i); }
  [[nodiscard]] std::span<const T> row(std::size_t i) const { return view().row(i); }

 private:
  static std::size_t product(const std::array<std::size_t, Rank>& shape) {
    std::size_t size = 1;
    for (const std::size_t extent : shape) size *= extent;
    return size;
  }

  std::array<std::size_t, Rank> shape_{};
  std::vector<T> data_;
};

/// One head of a view (position, head, head_dim), such as `q`, `k`, `v`, `z` or `result` of a capture: (position,
/// head_dim), without a copy. Rows are as far apart as in the view. (`scores` and `pattern` have the head first: their
/// head is `view.row(head)`.)
///
///     const auto z = head_of(probe(site::z{}, 3), 5);  // layer 3, head 5
template <class T, class Space>
[[nodiscard]] tensor_view<T, 2, Space> head_of(const tensor_view<T, 3, Space>& view, std::size_t head) {
  assert(head < view.extent(1));
  return {view.data() + head * view.extent(2), {view.rows(), view.extent(2)}, view.stride()};
}

}  // namespace optscope
