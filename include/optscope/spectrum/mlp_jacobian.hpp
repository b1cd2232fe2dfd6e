// SPDX-License-Identifier: MIT
#pragma once
// The Jacobian of an MLP block: products with it, and the closed form of each token's block.

#include <concepts>
#include <cstddef>
#include <memory>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/backend_threads.hpp>
#include <optscope/spectrum/layer_point.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// d mlp_out / d resid_mid of all tokens, without the residual: (tokens hidden, tokens hidden), block diagonal:
///
///     J_tt = W_2 diag(f'(mlp_pre_t)) W_1 LN_J(t)
///
/// Post-LN with the norm inside: of LN(c + mlp_out), the residual c being held fixed. With ReLU the rank of a block is
/// at most the number of active neurons. It runs on the threads of any backend. A product costs one forward pass of the
/// block for each vector, and holds 256 (hidden + ffn) scalars per thread. `block` exists in double only. T is float or
/// double.
template <class T>
class mlp_jacobian {
 public:
  using scalar = T;

  explicit mlp_jacobian(std::shared_ptr<const layer_point<T>> at, backend_threads backend = {},
                        layer_norm norm = layer_norm::inside)
      : at_{std::move(at)}, backend_{std::move(backend)}, norm_{norm} {}

  [[nodiscard]] std::size_t tokens() const noexcept { return at_->tokens; }
  [[nodiscard]] std::size_t width() const noexcept { return at_->shape.hidden; }
  [[nodiscard]] std::size_t rows() const noexcept { return tokens() * width(); }
  [[nodiscard]] std::size_t cols() const noexcept { return rows(); }
  [[nodiscard]] bool causal() const noexcept { return true; }
  [[nodiscard]] bool diagonal() const noexcept { return true; }

  /// Neurons of a token whose derivative is not zero.
  [[nodiscard]] std::size_t active(std::size_t t) const;

  /// x (k, tokens hidden) to y of the same shape.
  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y);
  /// y (k, tokens hidden) to x of the same shape.
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x);

  /// out (hidden, hidden) = J_tu: one (hidden, active) by (active, hidden) product; zeros unless t = u.
  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out)
    requires std::same_as<T, double>;

 private:
  [[nodiscard]] bool norm_before() const { return norm_ == layer_norm::inside && at_->shape.pre_layer_norm; }
  [[nodiscard]] bool norm_after() const { return norm_ == layer_norm::inside && !at_->shape.pre_layer_norm; }
  template <class Body>
  void each_rows(tensor_view<const T, 2> from, tensor_view<T, 2> to, Body&& body);
  void scale(std::size_t first, tensor_view<T, 2> neurons) const;

  std::shared_ptr<const layer_point<T>> at_;
  backend_threads backend_;
  layer_norm norm_;
  std::vector<std::vector<T>> scratch_;  // [worker]
};

static_assert(linear_operator<mlp_jacobian<float>> && block_operator<mlp_jacobian<double>>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/mlp_jacobian.ipp>
#endif
