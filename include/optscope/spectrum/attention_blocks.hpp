// SPDX-License-Identifier: MIT
#pragma once
// The closed form of an attention block's Jacobian, one (output token, input token) block at a time, in double.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optscope/core/simd.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/layer_point.hpp>
#include <optscope/spectrum/products.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// The blocks without LayerNorm. Per head h with its columns of W_O and its rows of W_Q, W_K, W_V:
///
///     M_tu = sum_h a_h P_h + w_h g_hᵀ + δ_tu W_O,h C_h W_Q,h
///     a_h = A_tu, P_h = W_O,h W_V,h, w_h = c A_tu W_O,h (v_u - o_t), g_h = W_K,hᵀ q_t, C_h = c sum_s A_ts (v_s - o_t)
///     k_sᵀ
///
/// P is computed once: a block then is a weighted sum of `heads` matrices and as many outer products, not a product of
/// two (hidden, hidden) matrices. Where P would be larger than a quarter of a GiB, that product is taken instead.
template <class T>
class attention_blocks {
 public:
  explicit attention_blocks(std::shared_ptr<const layer_point<T>> at) : at_{std::move(at)} {}

  /// out (hidden, hidden) = M_tu; zeros for u > t.
  void write(std::size_t t, std::size_t u, thread_pool& pool, tensor_view<T, 2> out) {
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
        product::abt<T>(output(h), one_row(difference.data(), dim), product::columns(left_.view(), h, 1));
        product::ab<T>(one_row(at_->q.row(t).data() + h * dim, dim), input(1, h), right_.view().slice(h, 1));
      }
    }
    product::for_rows(pool, d, [&](std::size_t first, std::size_t count, std::size_t) {
      const tensor_view<T, 2> rows = out.slice(first, count);
      if (products_.rows() == 0) scaled_product(first, a, rows);
      add_outer(first, a, rows);
    });
    if (t == u) add_query_part(t, pool, c, out);
  }

 private:
  static constexpr std::size_t most_bytes = std::size_t{1} << 28;  // of P

  static tensor_view<const T, 2> one_row(const T* data, std::size_t n) { return {data, {1, n}}; }
  /// The head's columns of W_O (hidden, head_dim), and rows of W_Q (0), W_K (1), W_V (2) (head_dim, hidden).
  [[nodiscard]] tensor_view<const T, 2> output(std::size_t h) const {
    return product::columns(at_->weights.out.weight, h * at_->shape.head_dim(), at_->shape.head_dim());
  }
  [[nodiscard]] tensor_view<const T, 2> input(std::size_t which, std::size_t h) const {
    const std::size_t dim = at_->shape.head_dim();
    return at_->weights.qkv.weight.slice(which * at_->shape.hidden + h * dim, dim);
  }

  void prepare(thread_pool& pool) {
    const std::size_t d = at_->shape.hidden, heads = at_->shape.heads;
    left_ = tensor<T, 2>{{d, heads}};
    right_ = tensor<T, 2>{{heads, d}};
    if (heads * d * d * sizeof(T) > most_bytes) return;
    products_ = tensor<T, 3>{{d, heads, d}};
    const openblas::single_threaded guard;
    pool.parallel_for(heads, [&](std::size_t h, std::size_t) {
      product::ab<T>(output(h), input(2, h), tensor_view<T, 2>{products_.data() + h * d, {d, d}, heads * d});
    });
  }

  /// rows [first, …) of W_O diag(a) W_V.
  void scaled_product(std::size_t first, const std::vector<T>& a, tensor_view<T, 2> rows) const {
    const std::size_t d = at_->shape.hidden, dim = at_->shape.head_dim();
    tensor<T, 2> scaled{{rows.rows(), d}};
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      const T* w = at_->weights.out.weight.row(first + i).data();
      for (std::size_t j = 0; j < d; ++j) scaled(i, j) = w[j] * a[j / dim];
    }
    product::ab<T>(scaled.view(), at_->weights.qkv.weight.slice(2 * d, d), rows);
  }

  /// rows = sum_h a_h P_h + w_h g_hᵀ, or, without P, rows += the outer products.
  void add_outer(std::size_t first, const std::vector<T>& a, tensor_view<T, 2> rows) const {
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
  void add_query_part(std::size_t t, thread_pool& pool, T c, tensor_view<T, 2> out) {
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

  std::shared_ptr<const layer_point<T>> at_;
  tensor<T, 3> products_;      // (hidden, head, hidden): P, read from one end to the other for each block
  tensor<T, 2> left_, right_;  // (hidden, head): w; (head, hidden): g
};

}  // namespace optscope
