// SPDX-License-Identifier: MIT
#pragma once
// A tensor in a backend's memory, and the ways there and back.

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <optscope/backend/host_backend.hpp>
#include <optscope/core/memory_space.hpp>
#include <optscope/core/tensor.hpp>
#include <span>

namespace optscope {

/// Owns what a `tensor_view` of a memory space refers to. A backend of that space allocates it; its elements are
/// unspecified.
///
///     tensor_in<float, 2, typename Backend::space> x;
///     x.resize(backend, {rows, hidden});
template <class T, std::size_t Rank, class Space = host_memory>
class tensor_in {
 public:
  tensor_in() = default;
  template <class Backend>
  tensor_in(Backend& backend, std::array<std::size_t, Rank> shape) {
    resize(backend, shape);
  }

  /// Changes the shape. Allocates only if it never had that many elements before; those it had are lost then.
  template <class Backend>
  void resize(Backend& backend, std::array<std::size_t, Rank> shape) {
    shape_ = shape;
    if (size() > memory_.size()) memory_ = backend.template allocate<T>(size());
  }

  [[nodiscard]] const std::array<std::size_t, Rank>& shape() const noexcept { return shape_; }
  [[nodiscard]] std::size_t rows() const noexcept { return shape_[0]; }
  [[nodiscard]] std::size_t size() const noexcept {
    std::size_t size = 1;
    for (const std::size_t extent : shape_) size *= extent;
    return size;
  }
  [[nodiscard]] tensor_view<T, Rank, Space> view() { return {memory_.data(), shape_}; }
  [[nodiscard]] tensor_view<const T, Rank, Space> view() const { return {memory_.data(), shape_}; }
  /// As much of it as a smaller tensor takes.
  template <std::convertible_to<std::size_t>... Extent>
  [[nodiscard]] tensor_view<T, sizeof...(Extent), Space> as(Extent... extents) {
    return {memory_.data(), {static_cast<std::size_t>(extents)...}};
  }

 private:
  typename Space::template buffer<T> memory_;
  std::array<std::size_t, Rank> shape_{};
};

namespace detail {

/// `to` = `from`, which is in the host's memory.
template <class T, std::size_t Rank, class Backend>
void copy_from_host(Backend& backend, tensor_view<const T, Rank> from,
                    tensor_view<T, Rank, typename Backend::space> to) {
  backend.write(to, [&](tensor_view<T, Rank> rows) {
    for (std::size_t row = 0; row < rows.rows(); ++row) std::ranges::copy(from.row(row), rows.row(row).data());
  });
}

/// `to`, which is in the host's memory, = `from`.
template <class T, std::size_t Rank, class Backend>
void copy_to_host(Backend& backend, tensor_view<const T, Rank, typename Backend::space> from, tensor_view<T, Rank> to) {
  const row_range all{0, from.rows()};
  backend.read(from, std::span{&all, 1}, [&](tensor_view<const T, Rank> rows) {
    for (std::size_t row = 0; row < rows.rows(); ++row) std::ranges::copy(rows.row(row), to.row(row).data());
  });
}

/// A view of the host's memory as one of the backend's: itself, or a copy in `memory`.
template <class T, std::size_t Rank, class Backend>
[[nodiscard]] tensor_view<const T, Rank, typename Backend::space> lend_to(
    Backend& backend, tensor_view<const T, Rank> from,
    [[maybe_unused]] tensor_in<T, Rank, typename Backend::space>& memory) {
  if constexpr (Backend::space::host) {
    return from;
  } else {
    memory.resize(backend, from.shape());
    copy_from_host<T, Rank>(backend, from, memory.view());
    return memory.view();
  }
}

}  // namespace detail
}  // namespace optscope
