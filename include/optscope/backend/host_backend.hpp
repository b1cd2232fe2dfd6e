// SPDX-License-Identifier: MIT
#pragma once
// The memory half of every backend that computes in the host's memory.

#include <algorithm>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/memory_space.hpp>
#include <optscope/core/tensor.hpp>
#include <span>
#include <vector>

namespace optscope {

/// Rows first to first + count of a view.
struct row_range {
  std::size_t first, count;
};

/// What a backend that computes in the host's memory inherits: the members of `backend_for` that are about memory, and
/// steps between its products. Views are lent as they are, so that none of it costs anything.
///
///     class my_backend : public host_backend { … };
class host_backend {
 public:
  using space = host_memory;

  template <class T>
  [[nodiscard]] std::vector<T> allocate(std::size_t elements) const {
    return std::vector<T>(elements);
  }
  template <class T>
  void copy(tensor_view<const T, 2> from, tensor_view<T, 2> to) const {
    if (from.contiguous() && to.contiguous()) {
      std::copy_n(from.data(), from.size(), to.data());
      return;
    }
    for (std::size_t row = 0; row < from.rows(); ++row) std::ranges::copy(from.row(row), to.row(row).data());
  }
  template <class View, class Body>
  void write(View to, Body&& body) const {
    body(to);
  }
  template <class View, class Body>
  void read(View from, std::span<const row_range>, Body&& body) const {
    body(from);
  }
  template <class View, class Body>
  void edit(View in, std::span<const row_range>, Body&& body) const {
    body(in);
  }

  template <class T>
  void norm_scale(tensor_view<const T, 2> x, tensor_view<T, 2> scale) const;
  template <class T>
  void hide_later_keys(tensor_view<T, 3> square, T value) const;
  template <class T>
  void sum_heads(tensor_view<const T, 3> shares, tensor_view<const T, 3> before, const T* bias,
                 tensor_view<T, 2> sum) const;
};

namespace detail {

/// True if a scale is not what `norm_scale` gives for the row.
template <class T>
[[nodiscard]] bool scale_was_edited(tensor_view<const T, 2> x, tensor_view<const T, 2> scale, std::size_t row);

/// y = LayerNorm of x, divided by `scale` instead of its own.
template <class T>
void normalize_row(tensor_view<const T, 2> x, T scale, const T* gamma, const T* beta, tensor_view<T, 2> y,
                   std::size_t row);

/// y = LayerNorm of x, each row divided by its `scale`; where that is its own, it has the bits of `layer_norm`. In
/// place allowed.
template <class T, class Backend, class Space>
void layer_norm_by_scale(Backend& backend, tensor_view<const T, 2, Space> x, pointer_to<const T, Space> gamma,
                         pointer_to<const T, Space> beta, tensor_view<const T, 2, Space> scale,
                         tensor_view<T, 2, Space> y) {
  if constexpr (requires { backend.layer_norm(x, gamma, beta, scale, y); }) {
    backend.layer_norm(x, gamma, beta, scale, y);
  } else {
    const auto normalize = [&](std::size_t first, std::size_t last) {
      if (first == last) return;
      backend.layer_norm(x.slice(first, last - first), gamma, beta, y.slice(first, last - first));
    };
    std::size_t done = 0;
    for (std::size_t row = 0; row < x.rows(); ++row) {
      if (!scale_was_edited<T>(x, scale, row)) continue;
      normalize(done, row);
      normalize_row<T>(x, scale(row, 0), gamma, beta, y, row);
      done = row + 1;
    }
    normalize(done, x.rows());
  }
}

}  // namespace detail
}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/backend/host_backend.ipp>
#endif
