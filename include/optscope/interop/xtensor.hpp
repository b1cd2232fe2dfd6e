// SPDX-License-Identifier: MIT
#pragma once
// xtensor containers from the library's views and back; the only header that knows where xtensor's headers are.

#if __has_include(<xtensor/containers/xtensor.hpp>)  // 0.26 moved every header
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xtensor.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xtensor.hpp>
#endif

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <optscope/core/tensor.hpp>
#include <type_traits>

namespace optscope {

/// With this header included, a view or a tensor converts to the `xt::xtensor` of its element type and rank, which is
/// a copy:
///
///     #include <optscope/interop/xtensor.hpp>
///
///     double mean_of_first_row(optscope::tensor_view<const float, 2> x) {
///       const xt::xtensor<float, 2> copy = x;
///       const auto same_memory = optscope::adapt(x);  // the memory of x has to stay alive
///       return (copy(0, 0) + same_memory(0, 1)) / 2;
///     }
///
/// Conversion to a different rank or element type does not compile.
template <class Storage, std::size_t Rank, xt::layout_type Layout, class Tag>
  requires(Layout == xt::layout_type::row_major)
struct container_from_view<xt::xtensor_container<Storage, Rank, Layout, Tag>> {
  using container = xt::xtensor_container<Storage, Rank, Layout, Tag>;

  template <class T>
    requires std::same_as<std::remove_const_t<T>, typename container::value_type>
  [[nodiscard]] static container make(const tensor_view<T, Rank>& view) {
    container result = container::from_shape(view.shape());
    for (std::size_t row = 0; row < view.rows(); ++row) {
      const auto source = view.row(row);
      std::copy(source.begin(), source.end(), result.data() + row * view.cols());
    }
    return result;
  }
};

/// A copy as an xtensor container, where the type would otherwise have to be written out.
template <class T, std::size_t Rank>
[[nodiscard]] xt::xtensor<std::remove_const_t<T>, Rank> to_xtensor(const tensor_view<T, Rank>& view) {
  return container_from_view<xt::xtensor<std::remove_const_t<T>, Rank>>::make(view);
}
template <class T, std::size_t Rank>
[[nodiscard]] xt::xtensor<T, Rank> to_xtensor(const tensor<T, Rank>& values) {
  return to_xtensor(values.view());
}

/// An xtensor expression on the same memory, without a copy; valid as long as the memory is, whatever happens to the
/// view. Its layout is dynamic, because rows may have gaps between them; that of a contiguous view is row-major when
/// the program runs, so that `xt::linalg::dot` takes it (others it refuses: copy them with `to_xtensor`). An axis of
/// length 1 has stride 0, as xtensor wants it, so take leading dimensions from shapes.
template <class T, std::size_t Rank>
[[nodiscard]] auto adapt(tensor_view<T, Rank> view) {
  std::array<std::ptrdiff_t, Rank> strides{};
  std::size_t stride = 1;
  for (std::size_t axis = Rank; axis-- > 0;) {
    strides[axis] = static_cast<std::ptrdiff_t>(view.extent(axis) == 1 ? 0 : axis == 0 ? view.stride() : stride);
    stride *= view.extent(axis);
  }
  // xtensor insists on a buffer of as many elements as the shape has, and reaches the others through the strides.
  auto adapted = xt::adapt(view.data(), view.size(), xt::no_ownership(), view.shape(), strides);
  if (view.contiguous()) adapted.resize(adapted.shape(), xt::layout_type::row_major);
  return adapted;
}
template <class T, std::size_t Rank>
[[nodiscard]] auto adapt(tensor<T, Rank>& values) {
  return adapt(values.view());
}
template <class T, std::size_t Rank>
[[nodiscard]] auto adapt(const tensor<T, Rank>& values) {
  return adapt(values.view());
}
template <class T, std::size_t Rank>
void adapt(const tensor<T, Rank>&&) {
  static_assert(Rank == 0,
                "adapt() of a temporary tensor would refer to memory that is gone: give the tensor a name first");
}

/// The library's view of an xtensor container, on the same memory; the container must outlive it.
template <class T, std::size_t Rank, class Allocator>
[[nodiscard]] tensor_view<T, Rank> view_of(xt::xtensor<T, Rank, xt::layout_type::row_major, Allocator>& values) {
  std::array<std::size_t, Rank> shape;
  std::copy(values.shape().begin(), values.shape().end(), shape.begin());
  return {values.data(), shape};
}
template <class T, std::size_t Rank, class Allocator>
[[nodiscard]] tensor_view<const T, Rank> view_of(
    const xt::xtensor<T, Rank, xt::layout_type::row_major, Allocator>& values) {
  std::array<std::size_t, Rank> shape;
  std::copy(values.shape().begin(), values.shape().end(), shape.begin());
  return {values.data(), shape};
}

template <class T, std::size_t Rank, class Allocator>
void view_of(const xt::xtensor<T, Rank, xt::layout_type::row_major, Allocator>&&) {
  static_assert(
      Rank == 0,
      "view_of() of a temporary container would refer to memory that is gone: give the container a name first");
}

}  // namespace optscope
