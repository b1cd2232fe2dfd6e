// SPDX-License-Identifier: MIT
#pragma once
// Bodies of attention_blocks.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/spectrum/attention_blocks.hpp>
#include <optscope/spectrum/products.hpp>

namespace optscope {
namespace detail {

inline constexpr std::size_t most_product_bytes = std::size_t{1} << 28;  // of P

template <class T>
tensor_view<const T, 2> one_row(const T* data, std::size_t n) {
  return {data, {1, n}};
}

}  // namespace detail

template <class T>
void attention_blocks<T>::write(std::size_t t, std::size_t u, thread_pool& pool, tensor_view<T, 2> out) {
  const std::size_t d = at_->shape.hidden, heads = at_->shape.heads, dim = at_->shape.head_dim();
  if (u > t) {
    for (std::size_t i = 0; i < d; ++i) std::ranges::fill(out.row(i), T{0});
    return;
  }
  if (left_.rows() != d) prepare(pool);
  const T c = T{1} / std::sqrt(static_cast<T>(dim));
  std::vector<T> difference(dim), a(heads);
  {
    const openblas::single_threaded guard;
    for (std::size_t h = 0; h < heads; ++h) {
      a[h] = at_->pattern(h, t, u);
      for (std::size_t i = 0; i < dim; ++i) {
        difference[i] = c * a[h] * (at_->v(u, h * dim + i) - at_->z(t, h * dim + i));
      }
      product::abt<T>(output(h), detail::one_row<T>(difference.data(), dim), product::columns(left_.view(), h, 1));
      product::ab<T>(detail::one_row<T>(at_->q.row(t).data() + h * dim, dim), input(1, h), right_.view().slice(h, 1));
    }
  }
  product::for_rows(pool, d, [&](std::size_t first, std::size_t count, std::size_t) {
    const tensor_view<T, 2> rows = out.slice(first, count);
    if (products_.rows() == 0) scaled_product(first, a, rows);
    add_outer(first, a, rows);
  });
  if (t == u) add_query_part(t, pool, c, out);
}

/// The head's columns of W_O (hidden, head_dim), and rows of W_Q (0), W_K (1), W_V (2) (head_dim, hidden).
template <class T>
tensor_view<const T, 2> attention_blocks<T>::output(std::size_t h) const {
  return product::columns(at_->weights.out.weight, h * at_->shape.head_dim(), at_->shape.head_dim());
}

template <class T>
tensor_view<const T, 2> attention_blocks<T>::input(std::size_t which, std::size_t h) const {
  const std::size_t dim = at_->shape.head_dim();
  return at_->weights.qkv.weight.slice(which * at_->shape.hidden + h * dim, dim);
}

template <class T>
void attention_blocks<T>::prepare(thread_pool& pool) {
  const std::size_t d = at_->shape.hidden, heads = at_->shape.heads;
  left_ = tensor<T, 2>{{d, heads}};
  right_ = tensor<T, 2>{{heads, d}};
  if (heads * d * d * sizeof(T) > detail::most_product_bytes) return;
  products_ = tensor<T, 3>{{d, heads, d}};
  const openblas::single_threaded guard;
  pool.parallel_for(heads, [&](std::size_t h, std::size_t) {
    product::ab<T>(output(h), input(2, h), tensor_view<T, 2>{products_.data() + h * d, {d, d}, heads * d});
  });
}

/// rows [first, …) of W_O diag(a) W_V.
template <class T>
void attention_blocks<T>::scaled_product(std::size_t first, const std::vector<T>& a, tensor_view<T, 2> rows) const {
  const std::size_t d = at_->shape.hidden, dim = at_->shape.head_dim();
  tensor<T, 2> scaled{{rows.rows(), d}};
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    const T* w = at_->weights.out.weight.row(first + i).data();
    for (std::size_t j = 0; j < d; ++j) scaled(i, j) = w[j] * a[j / dim];
  }
  product::ab<T>(scaled.view(), at_->weights.qkv.weight.slice(2 * d, d), rows);
}

/// rows = sum_h a_h P_h + w_h g_hᵀ, or, without P, rows += the outer products.
template <class T>
void attention_blocks<T>::add_outer(std::size_t first, const std::vector<T>& a, tensor_view<T, 2> rows) const {
  const bool products = products_.rows() != 0;
  simd::run([&]() __attribute__((always_inline)) {
    const std::size_t d = rows.cols();
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      T* row = rows.row(i).data();
      if (products) std::fill_n(row, d, T{0});
      for (std::size_t h = 0; h < a.size(); ++h) {
        const T w = left_(first + i, h), weight = a[h];
        const T* g = right_.data() + h * d;
        if (products) {
          const T* p = products_.data() + ((first + i) * a.size() + h) * d;
          for (std::size_t j = 0; j < d; ++j) row[j] += weight * p[j] + w * g[j];
        } else {
          for (std::size_t j = 0; j < d; ++j) row[j] += w * g[j];
        }
      }
    }
  });
}

/// out += W_O diag(C_h) W_Q.
template <class T>
void attention_blocks<T>::add_query_part(std::size_t t, thread_pool& pool, T c, tensor_view<T, 2> out) {
  const std::size_t d = at_->shape.hidden, dim = at_->shape.head_dim(), keys = t + 1;
  tensor<T, 2> turned{{d, d}};  // diag(C_h) W_Q
  const openblas::single_threaded guard;
  pool.parallel_for(at_->shape.heads, [&](std::size_t h, std::size_t) {
    tensor<T, 2> spread{{keys, dim}}, c_h{{dim, dim}};
    for (std::size_t s = 0; s < keys; ++s) {
      const T weight = c * at_->pattern(h, t, s);
      for (std::size_t i = 0; i < dim; ++i) {
        spread(s, i) = weight * (at_->v(s, h * dim + i) - at_->z(t, h * dim + i));
      }
    }
    product::atb<T>(spread.view(), product::columns(at_->k.view().slice(0, keys), h * dim, dim), c_h.view());
    product::ab<T>(c_h.view(), input(0, h), turned.view().slice(h * dim, dim));
  });
  product::for_rows(pool, d, [&](std::size_t first, std::size_t count, std::size_t) {
    product::ab<T>(at_->weights.out.weight.slice(first, count), turned.view(), out.slice(first, count), 1, 1);
  });
}

#ifdef OPTSCOPE_COMPILED
template class attention_blocks<float>;
template class attention_blocks<double>;
#endif

}  // namespace optscope
