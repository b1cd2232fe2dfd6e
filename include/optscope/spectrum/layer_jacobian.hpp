// SPDX-License-Identifier: MIT
#pragma once
// The Jacobians of a whole layer and of a span of layers, composed from those of their blocks.

#include <concepts>
#include <cstddef>
#include <limits>
#include <memory>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/attention_jacobian.hpp>
#include <optscope/spectrum/backend_threads.hpp>
#include <optscope/spectrum/layer_point.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <optscope/spectrum/mlp_jacobian.hpp>
#include <vector>

namespace optscope {

/// Which ways through a layer a derivative counts: `all`, or those through at least one of its blocks (`blocks`): what
/// attention and MLP together add, where the MLP sees what attention did.
enum class paths { blocks, all };

/// d resid_post / d resid_pre of one layer. With A and M the Jacobians of its blocks and L1, L2 those of the LayerNorms
/// that follow the additions (post-LN; pre-LN: identities)
///
///     all:     L2 (I + M) L1 (I + A)
///     blocks:  the same minus L2 L1; pre-LN: A + M + M A = d (attn_out + mlp_out) / d resid_pre
///
/// It runs on the threads of any backend. A product costs one forward pass of the layer for each vector. T is float or
/// double.
template <class T>
class layer_jacobian {
 public:
  using scalar = T;

  explicit layer_jacobian(std::shared_ptr<const layer_point<T>> at, const backend_threads& backend = {},
                          paths ways = paths::all, layer_norm norm = layer_norm::inside);

  [[nodiscard]] std::size_t tokens() const noexcept { return at_->tokens; }
  [[nodiscard]] std::size_t width() const noexcept { return at_->shape.hidden; }
  [[nodiscard]] std::size_t rows() const noexcept { return tokens() * width(); }
  [[nodiscard]] std::size_t cols() const noexcept { return rows(); }
  [[nodiscard]] bool causal() const noexcept { return true; }
  [[nodiscard]] bool diagonal() const noexcept { return false; }

  /// x (k, tokens hidden) to y of the same shape; `blocks`: y = L2 (L1 A x + M L1 (I + A) x).
  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y);
  /// y (k, tokens hidden) to x of the same shape; `blocks`: x = Aᵀ L1ᵀ (I + Mᵀ) L2ᵀ y + L1ᵀ Mᵀ L2ᵀ y.
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x);

  /// out (hidden, hidden) = J_tu: attention's block and one (hidden, hidden) product. Fastest with t in order.
  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out)
    requires std::same_as<T, double>;

 private:
  void prepare(std::size_t vectors);
  void norm(const norm_jacobian<T>& by, tensor_view<T, 2> x) const;
  void norm_transposed(const norm_jacobian<T>& by, tensor_view<T, 2> x) const;
  [[nodiscard]] tensor_view<T, 2> tokens_of(tensor_view<T, 2> x, std::size_t i) const;
  void make_factors(std::size_t t)
    requires std::same_as<T, double>;

  std::shared_ptr<const layer_point<T>> at_;
  backend_threads backend_;
  paths ways_;
  bool norms_after_;  // LayerNorms follow the additions and belong to the derivative
  attention_jacobian<T> attention_;
  mlp_jacobian<T> mlp_;
  tensor<T, 2> mid_, other_;  // (vector, tokens hidden)
  std::size_t token_ = std::numeric_limits<std::size_t>::max();
  tensor<double, 2> full_, through_mlp_, right_;  // (hidden, hidden), the first two of token_
};

static_assert(linear_operator<layer_jacobian<float>> && block_operator<layer_jacobian<double>>);

/// d resid_post of the last / d resid_pre of the first of consecutive layers, all paths counted.
///
///     span_jacobian<float> jacobian{linearise<float>(opt, tokens, 2, 3), opt.backend()};  // layers 2, 3, 4
template <class T>
class span_jacobian {
 public:
  using scalar = T;

  explicit span_jacobian(const std::vector<std::shared_ptr<const layer_point<T>>>& points,
                         const backend_threads& backend = {}, layer_norm norm = layer_norm::inside);

  [[nodiscard]] std::size_t tokens() const noexcept { return layers_.front().tokens(); }
  [[nodiscard]] std::size_t width() const noexcept { return layers_.front().width(); }
  [[nodiscard]] std::size_t rows() const noexcept { return layers_.front().rows(); }
  [[nodiscard]] std::size_t cols() const noexcept { return rows(); }

  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y);
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x);

 private:
  template <class Step>
  void chain(tensor_view<const T, 2> in, tensor_view<T, 2> out, Step&& step);

  std::vector<layer_jacobian<T>> layers_;
  tensor<T, 2> between_;
};

static_assert(linear_operator<span_jacobian<float>> && linear_operator<span_jacobian<double>>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/layer_jacobian.ipp>
#endif
