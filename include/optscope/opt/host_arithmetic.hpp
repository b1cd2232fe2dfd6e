// SPDX-License-Identifier: MIT
#pragma once
// A backend's arithmetic for tensors of the host, which are copied where the backend has a memory of its own.

#include <cstddef>
#include <optscope/backend/tensor_in.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/backend_weights.hpp>
#include <optscope/opt/weights.hpp>

namespace optscope::detail {

/// y (m, n) = x (m, k) w, with w (k, n).
template <class T, class Backend>
void linear_backward_on_host(Backend& backend, tensor_view<const T, 2> x, const matrix_view<T>& w,
                             tensor_view<T, 2> y) {
  if constexpr (Backend::space::host) {
    backend.linear_backward(x, w, y);
  } else {
    using space = typename Backend::space;
    weight_copies<T, Backend> weights;
    tensor_in<T, 2, space> lent, result{backend, y.shape()};
    backend.linear_backward(lend_to(backend, x, lent), weights.matrix(backend, w), result.view());
    copy_to_host<T, 2>(backend, result.view(), y);
  }
}

/// LayerNorm of the rows of x, in place.
template <class T, class Backend>
void layer_norm_on_host(Backend& backend, tensor_view<T, 2> x, const norm_weights<T>& norm) {
  using in = tensor_view<const T, 2, typename Backend::space>;
  if constexpr (Backend::space::host) {
    backend.layer_norm(in{x}, norm.gamma, norm.beta, x);
  } else {
    weight_copies<T, Backend> weights;
    const auto there = weights.norm(backend, norm, x.cols());
    tensor_in<T, 2, typename Backend::space> rows{backend, x.shape()};
    copy_from_host<T, 2>(backend, x, rows.view());
    backend.layer_norm(in{rows.view()}, there.gamma, there.beta, rows.view());
    copy_to_host<T, 2>(backend, rows.view(), x);
  }
}

}  // namespace optscope::detail
