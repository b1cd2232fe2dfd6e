// SPDX-License-Identifier: MIT
#pragma once
// Bodies of mlp_jacobian.hpp.

#include <algorithm>
#include <optscope/core/simd.hpp>
#include <optscope/spectrum/mlp_jacobian.hpp>
#include <optscope/spectrum/products.hpp>

namespace optscope {

template <class T>
std::size_t mlp_jacobian<T>::active(std::size_t t) const {
  return static_cast<std::size_t>(std::ranges::count_if(at_->slope.row(t), [](T slope) { return slope != 0; }));
}

template <class T>
void mlp_jacobian<T>::apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
  each_rows(x, y, [&](std::size_t first, tensor_view<T, 2> rows, tensor_view<T, 2> neurons) {
    if (norm_before()) at_->ln2.apply(first, rows, rows);
    product::abt<T>(rows, at_->weights.fc1.weight, neurons);
    scale(first, neurons);
    product::abt<T>(neurons, at_->weights.fc2.weight, rows);
    if (norm_after()) at_->ln2.apply(first, rows, rows);
  });
}

template <class T>
void mlp_jacobian<T>::apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
  each_rows(y, x, [&](std::size_t first, tensor_view<T, 2> rows, tensor_view<T, 2> neurons) {
    if (norm_after()) at_->ln2.apply_transposed(first, rows, rows);
    product::ab<T>(rows, at_->weights.fc2.weight, neurons);
    scale(first, neurons);
    product::ab<T>(neurons, at_->weights.fc1.weight, rows);
    if (norm_before()) at_->ln2.apply_transposed(first, rows, rows);
  });
}

template <class T>
void mlp_jacobian<T>::block(std::size_t t, std::size_t u, tensor_view<double, 2> out)
  requires std::same_as<T, double>
{
  if constexpr (std::same_as<T, double>) {  // clang 14 instantiates it for float, too
    if (t != u) {
      for (std::size_t i = 0; i < width(); ++i) std::ranges::fill(out.row(i), 0.0);
      return;
    }
    std::vector<std::size_t> chosen;
    for (std::size_t j = 0; j < at_->shape.ffn; ++j) {
      if (at_->slope(t, j) != 0) chosen.push_back(j);
    }
    tensor<double, 2> inner{{chosen.size(), width()}};  // diag(f') W_1, rows of active neurons
    product::for_rows(backend_.pool(), chosen.size(), [&](std::size_t first, std::size_t count, std::size_t) {
      for (std::size_t i = first; i < first + count; ++i) {
        std::ranges::transform(at_->weights.fc1.weight.row(chosen[i]), inner.row(i).data(),
                               [slope = at_->slope(t, chosen[i])](double w) { return slope * w; });
      }
      if (norm_before()) at_->ln2.from_right(t, inner.view().slice(first, count));
    });
    product::for_rows(backend_.pool(), width(), [&](std::size_t first, std::size_t count, std::size_t) {
      tensor<double, 2> outer{{count, chosen.size()}};  // columns of W_2 of active neurons
      for (std::size_t i = 0; i < count; ++i) {
        const double* w = at_->weights.fc2.weight.row(first + i).data();
        for (std::size_t j = 0; j < chosen.size(); ++j) outer(i, j) = w[chosen[j]];
      }
      product::ab<double>(outer.view(), inner.view(), out.slice(first, count));
    });
    if (norm_after()) at_->ln2.from_left(t, out);
  }
}

/// `body(first, rows, neurons)` on copies of blocks of rows of `from`, which then go to `to`.
template <class T>
template <class Body>
void mlp_jacobian<T>::each_rows(tensor_view<const T, 2> from, tensor_view<T, 2> to, Body&& body) {
  const std::size_t d = width(), f = at_->shape.ffn, total = from.rows() * tokens();
  const std::size_t most = product::rows_a_task(total, backend_.pool());
  scratch_.resize(backend_.pool().size());
  product::for_rows(backend_.pool(), total, [&](std::size_t first, std::size_t count, std::size_t worker) {
    std::vector<T>& memory = scratch_[worker];
    memory.resize(std::max(memory.size(), most * (d + f)));
    const tensor_view<T, 2> rows{memory.data(), {count, d}}, neurons{memory.data() + most * d, {count, f}};
    product::gather(from, tokens(), first, rows);
    body(first, rows, neurons);
    product::scatter<T>(rows, tokens(), first, to);
  });
}

template <class T>
void mlp_jacobian<T>::scale(std::size_t first, tensor_view<T, 2> neurons) const {
  simd::run([&]() __attribute__((always_inline)) {
    const std::size_t n = neurons.cols();
    for (std::size_t i = 0; i < neurons.rows(); ++i) {
      const T* slope = at_->slope.data() + (first + i) % tokens() * n;
      T* row = neurons.row(i).data();
      for (std::size_t j = 0; j < n; ++j) row[j] *= slope[j];
    }
  });
}

#ifdef OPTSCOPE_COMPILED
template class mlp_jacobian<float>;
template class mlp_jacobian<double>;
#endif

}  // namespace optscope
