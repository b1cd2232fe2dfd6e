// SPDX-License-Identifier: MIT
#pragma once
// The Jacobian of an MLP block: products with it, and the closed form of each token's block.

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optscope/backend/cpu.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/layer_point.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <optscope/spectrum/products.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// d mlp_out / d resid_mid of all tokens, without the residual: (tokens hidden, tokens hidden), block diagonal:
///
///     J_tt = W_2 diag(f'(mlp_pre_t)) W_1 LN_J(t)
///
/// Post-LN with the norm inside: of LN(c + mlp_out), the residual c being held fixed. With ReLU the rank of a block is
/// at most the number of active neurons. A product costs one forward pass of the block for each vector and holds
/// 256 (hidden + ffn) scalars a thread beside it. `block` is there in double only.
template <class T>
class mlp_jacobian {
 public:
  using scalar = T;

  explicit mlp_jacobian(std::shared_ptr<const layer_point<T>> at, cpu backend = cpu{},
                        layer_norm norm = layer_norm::inside)
      : at_{std::move(at)}, backend_{std::move(backend)}, norm_{norm} {}

  [[nodiscard]] std::size_t tokens() const noexcept { return at_->tokens; }
  [[nodiscard]] std::size_t width() const noexcept { return at_->shape.hidden; }
  [[nodiscard]] std::size_t rows() const noexcept { return tokens() * width(); }
  [[nodiscard]] std::size_t cols() const noexcept { return rows(); }
  [[nodiscard]] bool causal() const noexcept { return true; }
  [[nodiscard]] bool diagonal() const noexcept { return true; }

  /// Neurons of a token whose derivative is not zero.
  [[nodiscard]] std::size_t active(std::size_t t) const {
    return static_cast<std::size_t>(std::ranges::count_if(at_->slope.row(t), [](T slope) { return slope != 0; }));
  }

  /// x (k, tokens hidden) to y of the same shape.
  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
    each_rows(x, y, [&](std::size_t first, tensor_view<T, 2> rows, tensor_view<T, 2> neurons) {
      if (norm_before()) at_->ln2.apply(first, rows, rows);
      product::abt<T>(rows, at_->weights.fc1.weight, neurons);
      scale(first, neurons);
      product::abt<T>(neurons, at_->weights.fc2.weight, rows);
      if (norm_after()) at_->ln2.apply(first, rows, rows);
    });
  }

  /// y (k, tokens hidden) to x of the same shape.
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
    each_rows(y, x, [&](std::size_t first, tensor_view<T, 2> rows, tensor_view<T, 2> neurons) {
      if (norm_after()) at_->ln2.apply_transposed(first, rows, rows);
      product::ab<T>(rows, at_->weights.fc2.weight, neurons);
      scale(first, neurons);
      product::ab<T>(neurons, at_->weights.fc1.weight, rows);
      if (norm_before()) at_->ln2.apply_transposed(first, rows, rows);
    });
  }

  /// out (hidden, hidden) = J_tu: one (hidden, active) by (active, hidden) product; zeros unless t = u.
  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out)
    requires std::same_as<T, double>
  {
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

 private:
  [[nodiscard]] bool norm_before() const { return norm_ == layer_norm::inside && at_->shape.pre_layer_norm; }
  [[nodiscard]] bool norm_after() const { return norm_ == layer_norm::inside && !at_->shape.pre_layer_norm; }

  /// `body(first, rows, neurons)` on copies of blocks of rows of `from`, which then go to `to`.
  template <class Body>
  void each_rows(tensor_view<const T, 2> from, tensor_view<T, 2> to, Body&& body) {
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

  void scale(std::size_t first, tensor_view<T, 2> neurons) const {
    simd::run([&]() __attribute__((always_inline)) {
      const std::size_t n = neurons.cols();
      for (std::size_t i = 0; i < neurons.rows(); ++i) {
        const T* slope = at_->slope.data() + (first + i) % tokens() * n;
        T* row = neurons.row(i).data();
        for (std::size_t j = 0; j < n; ++j) row[j] *= slope[j];
      }
    });
  }

  std::shared_ptr<const layer_point<T>> at_;
  cpu backend_;
  layer_norm norm_;
  std::vector<std::vector<T>> scratch_;  // [worker]
};

static_assert(linear_operator<mlp_jacobian<float>> && block_operator<mlp_jacobian<double>>);

}  // namespace optscope
