// SPDX-License-Identifier: MIT
#pragma once
// The Jacobian of an attention block: products with it, and the closed form of each block.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <memory>
#include <optscope/backend/cpu.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/attention_blocks.hpp>
#include <optscope/spectrum/layer_point.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <optscope/spectrum/products.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// Whether a derivative goes through the LayerNorms of its blocks. `outside` puts the identity in the place of each, at
/// the same activations: of one pre-LN block that is the derivative with respect to the LayerNorm's output.
enum class layer_norm { inside, outside };

/// d attn_out / d resid_pre of all tokens, without the residual: (tokens hidden, tokens hidden), block lower
/// triangular. Post-LN with the norm inside: of LN(c + attn_out), the residual c being held fixed.
///
///     const auto at = linearise(opt, tokens, layer)[0];
///     attention_jacobian<double> jacobian{at, opt.backend()};
///
/// With pattern A, o_t = sum_s A_ts v_s, and per head (summed over the heads)
///
///     J_tu = W_O [A_tu W_V + A_tu (v_u - o_t)(q_tᵀ W_K) c + δ_tu sum_s A_ts (v_s - o_t)(k_sᵀ W_Q) c] LN_J(u),
///
/// c = 1 / sqrt(head_dim). A product costs about one forward pass of the block for each vector and holds 5 hidden
/// scalars a token and vector beside it. `block` is there in double only.
template <class T>
class attention_jacobian {
 public:
  using scalar = T;

  explicit attention_jacobian(std::shared_ptr<const layer_point<T>> at, cpu backend = cpu{},
                              layer_norm norm = layer_norm::inside)
      : at_{std::move(at)}, backend_{std::move(backend)}, blocks_{at_}, norm_{norm} {}

  [[nodiscard]] std::size_t tokens() const noexcept { return at_->tokens; }
  [[nodiscard]] std::size_t width() const noexcept { return at_->shape.hidden; }
  [[nodiscard]] std::size_t rows() const noexcept { return tokens() * width(); }
  [[nodiscard]] std::size_t cols() const noexcept { return rows(); }
  [[nodiscard]] bool causal() const noexcept { return true; }
  [[nodiscard]] bool diagonal() const noexcept { return false; }

  /// x (k, tokens hidden) to y of the same shape.
  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
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

  /// y (k, tokens hidden) to x of the same shape.
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
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

  /// out (hidden, hidden) = J_tu, in about the time that the memory needs to read heads x hidden² doubles; t = u takes
  /// a product of two (hidden, hidden) matrices more.
  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out)
    requires std::same_as<T, double>
  {
    blocks_.write(t, u, backend_.pool(), out);
    if (u > t) return;
    product::for_rows(backend_.pool(), width(), [&](std::size_t first, std::size_t count, std::size_t) {
      if (norm_before()) at_->ln1.from_right(u, out.slice(first, count));
    });
    if (norm_after()) at_->ln1.from_left(t, out);
  }

 private:
  static constexpr std::size_t query_block = 128;  // queries at a time: keys after the last of them are skipped

  [[nodiscard]] bool norm_before() const { return norm_ == layer_norm::inside && at_->shape.pre_layer_norm; }
  [[nodiscard]] bool norm_after() const { return norm_ == layer_norm::inside && !at_->shape.pre_layer_norm; }

  void prepare(std::size_t vectors) {
    const std::size_t rows = vectors * tokens();
    if (mixed_.rows() != rows) {
      qkv_ = tensor<T, 2>{{rows, 3 * width()}};
      mixed_ = tensor<T, 2>{{rows, width()}};
    }
    squares_.resize(backend_.pool().size());
    for (std::vector<T>& square : squares_) square.resize(std::min(query_block, tokens()) * tokens());
  }
  [[nodiscard]] tensor_view<T, 2> qkv_part(std::size_t which) {  // 0: q, 1: k, 2: v
    return product::columns(qkv_.view(), which * width(), width());
  }
  /// Rows of one vector, columns of one head.
  template <class U>
  [[nodiscard]] tensor_view<U, 2> head_of(tensor_view<U, 2> rows, std::size_t vector, std::size_t head) const {
    const std::size_t dim = at_->shape.head_dim();
    return product::columns(rows.slice(vector * tokens(), tokens()), head * dim, dim);
  }

  template <class Body>
  void each_rows(std::size_t vectors, Body&& body) {
    product::for_rows(backend_.pool(), vectors * tokens(),
                      [&](std::size_t first, std::size_t count, std::size_t) { body(first, count); });
  }
  template <class Body>
  void each_head(std::size_t vectors, Body&& body) {
    const openblas::single_threaded guard;
    const std::size_t heads = at_->shape.heads;
    backend_.pool().parallel_for(vectors * heads, [&](std::size_t task, std::size_t worker) {
      body(task / heads, task % heads, squares_[worker].data());
    });
  }
  /// Calls `body(first, count, keys, pattern (count, keys), square (count, keys))` for blocks of queries.
  template <class Body>
  void each_query_block(std::size_t head, T* square, Body&& body) const {
    for (std::size_t first = 0; first < tokens(); first += query_block) {
      const std::size_t count = std::min(query_block, tokens() - first), keys = first + count;
      const T* pattern = at_->pattern.row(head).data() + first * tokens();
      body(first, count, keys, tensor_view<const T, 2>{pattern, {count, keys}, tokens()},
           tensor_view<T, 2>{square, {count, keys}});
    }
  }
  /// Rows of s to a ∘ (s - <a, s>) factor: the Jacobian of softmax, which is its own transpose.
  static void softmax_jacobian(tensor_view<const T, 2> a, tensor_view<T, 2> s, T factor) {
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
  [[nodiscard]] T factor() const { return T{1} / std::sqrt(static_cast<T>(at_->shape.head_dim())); }

  /// dq, dk, dv to dz: dS = (dq kᵀ + q dkᵀ) c, dA = softmax'(dS), dz = dA v + A dv.
  void mix(std::size_t vector, std::size_t head, T* square) {
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
  void unmix(std::size_t vector, std::size_t head, T* square) {
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

  std::shared_ptr<const layer_point<T>> at_;
  cpu backend_;
  attention_blocks<T> blocks_;
  layer_norm norm_;
  tensor<T, 2> qkv_, mixed_;             // (vector token, 3 hidden), (vector token, hidden)
  std::vector<std::vector<T>> squares_;  // [worker]: (query, key)
};

static_assert(linear_operator<attention_jacobian<float>> && block_operator<attention_jacobian<double>>);

}  // namespace optscope
