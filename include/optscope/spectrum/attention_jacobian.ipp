// SPDX-License-Identifier: MIT
#pragma once
// Bodies of attention_jacobian.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/products.hpp>

namespace optscope {
namespace detail {
inline constexpr std::size_t queries_at_a_time = 128;  // queries at a time: keys after the last of them are skipped
}

template <class T>
void attention_jacobian<T>::apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
  prepare(x.rows());
  each_rows(x.rows(), [&](std::size_t first, std::size_t count) {
    const tensor_view<T, 2> in = mixed_.view().slice(first, count);
    product::gather(x, tokens(), first, in);
    if (norm_before()) at_->ln1.apply(first, in, in);
    product::abt<T>(in, at_->weights.qkv.weight, qkv_.view().slice(first, count));
  });
  each_head(x.rows(), [&](std::size_t vector, std::size_t head, T* square) { mix(vector, head, square); });
  each_rows(x.rows(), [&](std::size_t first, std::size_t count) {
    const tensor_view<T, 2> out = qkv_part(0).slice(first, count);
    product::abt<T>(mixed_.view().slice(first, count), at_->weights.out.weight, out);
    if (norm_after()) at_->ln1.apply(first, out, out);
    product::scatter<T>(out, tokens(), first, y);
  });
}

template <class T>
void attention_jacobian<T>::apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
  prepare(y.rows());
  each_rows(y.rows(), [&](std::size_t first, std::size_t count) {
    const tensor_view<T, 2> in = qkv_part(0).slice(first, count);
    product::gather(y, tokens(), first, in);
    if (norm_after()) at_->ln1.apply_transposed(first, in, in);
    product::ab<T>(in, at_->weights.out.weight, mixed_.view().slice(first, count));
  });
  each_head(y.rows(), [&](std::size_t vector, std::size_t head, T* square) { unmix(vector, head, square); });
  each_rows(y.rows(), [&](std::size_t first, std::size_t count) {
    const tensor_view<T, 2> out = mixed_.view().slice(first, count);
    product::ab<T>(qkv_.view().slice(first, count), at_->weights.qkv.weight, out);
    if (norm_before()) at_->ln1.apply_transposed(first, out, out);
    product::scatter<T>(out, tokens(), first, x);
  });
}

template <class T>
void attention_jacobian<T>::block(std::size_t t, std::size_t u, tensor_view<double, 2> out)
  requires std::same_as<T, double>
{
  if constexpr (std::same_as<T, double>) {  // clang 14 instantiates it for float, too
    blocks_.write(t, u, backend_.pool(), out);
    if (u > t) return;
    product::for_rows(backend_.pool(), width(), [&](std::size_t first, std::size_t count, std::size_t) {
      if (norm_before()) at_->ln1.from_right(u, out.slice(first, count));
    });
    if (norm_after()) at_->ln1.from_left(t, out);
  }
}

template <class T>
void attention_jacobian<T>::prepare(std::size_t vectors) {
  const std::size_t rows = vectors * tokens();
  if (mixed_.rows() != rows) {
    qkv_ = tensor<T, 2>{{rows, 3 * width()}};
    mixed_ = tensor<T, 2>{{rows, width()}};
  }
  squares_.resize(backend_.pool().size());
  for (std::vector<T>& square : squares_) square.resize(std::min(detail::queries_at_a_time, tokens()) * tokens());
}

template <class T>
tensor_view<T, 2> attention_jacobian<T>::qkv_part(std::size_t which) {  // 0: q, 1: k, 2: v
  return product::columns(qkv_.view(), which * width(), width());
}

/// Rows of one vector, columns of one head.
template <class T>
template <class U>
tensor_view<U, 2> attention_jacobian<T>::head_of(tensor_view<U, 2> rows, std::size_t vector, std::size_t head) const {
  const std::size_t dim = at_->shape.head_dim();
  return product::columns(rows.slice(vector * tokens(), tokens()), head * dim, dim);
}

template <class T>
template <class Body>
void attention_jacobian<T>::each_rows(std::size_t vectors, Body&& body) {
  product::for_rows(backend_.pool(), vectors * tokens(),
                    [&](std::size_t first, std::size_t count, std::size_t) { body(first, count); });
}

template <class T>
template <class Body>
void attention_jacobian<T>::each_head(std::size_t vectors, Body&& body) {
  const openblas::single_threaded guard;
  const std::size_t heads = at_->shape.heads;
  backend_.pool().parallel_for(vectors * heads, [&](std::size_t task, std::size_t worker) {
    body(task / heads, task % heads, squares_[worker].data());
  });
}

/// Calls `body(first, count, keys, pattern (count, keys), square (count, keys))` for blocks of queries.
template <class T>
template <class Body>
void attention_jacobian<T>::each_query_block(std::size_t head, T* square, Body&& body) const {
  for (std::size_t first = 0; first < tokens(); first += detail::queries_at_a_time) {
    const std::size_t count = std::min(detail::queries_at_a_time, tokens() - first), keys = first + count;
    const T* pattern = at_->pattern.row(head).data() + first * tokens();
    body(first, count, keys, tensor_view<const T, 2>{pattern, {count, keys}, tokens()},
         tensor_view<T, 2>{square, {count, keys}});
  }
}

/// Rows of s to a ∘ (s - <a, s>) factor: the Jacobian of softmax, which is its own transpose.
template <class T>
void attention_jacobian<T>::softmax_jacobian(tensor_view<const T, 2> a, tensor_view<T, 2> s, T factor) {
  simd::run([&]() __attribute__((always_inline)) {
    for (std::size_t i = 0; i < s.rows(); ++i) {
      const T* p = a.row(i).data();
      T* row = s.row(i).data();
      const std::size_t n = s.cols();
      for (std::size_t j = 0; j < n; ++j) row[j] *= p[j];
      const T sum = kernel::lane_sum(row, n, [](T value) { return value; });
      for (std::size_t j = 0; j < n; ++j) row[j] = factor * (row[j] - p[j] * sum);
    }
  });
}

template <class T>
T attention_jacobian<T>::factor() const {
  return T{1} / std::sqrt(static_cast<T>(at_->shape.head_dim()));
}

/// dq, dk, dv to dz: dS = (dq kᵀ + q dkᵀ) c, dA = softmax'(dS), dz = dA v + A dv.
template <class T>
void attention_jacobian<T>::mix(std::size_t vector, std::size_t head, T* square) {
  const auto of = [&](std::size_t which) { return head_of(qkv_part(which), vector, head); };
  const tensor_view<T, 2> dq = of(0), dk = of(1), dv = of(2), dz = head_of(mixed_.view(), vector, head);
  const auto q = head_of(at_->q.view(), 0, head), k = head_of(at_->k.view(), 0, head),
             v = head_of(at_->v.view(), 0, head);
  each_query_block(head, square, [&](std::size_t first, std::size_t count, std::size_t keys, auto a, auto s) {
    product::abt<T>(dq.slice(first, count), k.slice(0, keys), s);
    product::abt<T>(q.slice(first, count), dk.slice(0, keys), s, 1, 1);
    softmax_jacobian(a, s, factor());
    product::ab<T>(s, v.slice(0, keys), dz.slice(first, count));
    product::ab<T>(a, dv.slice(0, keys), dz.slice(first, count), 1, 1);
  });
}

/// The transpose: dz to dq, dk, dv.
template <class T>
void attention_jacobian<T>::unmix(std::size_t vector, std::size_t head, T* square) {
  const auto of = [&](std::size_t which) { return head_of(qkv_part(which), vector, head); };
  const tensor_view<T, 2> dq = of(0), dk = of(1), dv = of(2), dz = head_of(mixed_.view(), vector, head);
  const auto q = head_of(at_->q.view(), 0, head), k = head_of(at_->k.view(), 0, head),
             v = head_of(at_->v.view(), 0, head);
  for (std::size_t t = 0; t < tokens(); ++t) {
    std::ranges::fill(dk.row(t), T{0});
    std::ranges::fill(dv.row(t), T{0});
  }
  each_query_block(head, square, [&](std::size_t first, std::size_t count, std::size_t keys, auto a, auto s) {
    product::abt<T>(dz.slice(first, count), v.slice(0, keys), s);
    product::atb<T>(a, dz.slice(first, count), dv.slice(0, keys), 1, 1);
    softmax_jacobian(a, s, factor());
    product::ab<T>(s, k.slice(0, keys), dq.slice(first, count));
    product::atb<T>(s, q.slice(first, count), dk.slice(0, keys), 1, 1);
  });
}

#ifdef OPTSCOPE_COMPILED
template class attention_jacobian<float>;
template class attention_jacobian<double>;
#endif

}  // namespace optscope
