// SPDX-License-Identifier: MIT
#pragma once
// The Jacobian of an attention block: products with it, and the closed form of each block.

#include <concepts>
#include <cstddef>
#include <memory>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/attention_blocks.hpp>
#include <optscope/spectrum/backend_threads.hpp>
#include <optscope/spectrum/layer_point.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// Whether a derivative goes through the LayerNorms of its blocks. `outside` puts the identity in the place of each, at
/// the same activations: for one pre-LN block that is the derivative with respect to the LayerNorm's output.
enum class layer_norm { inside, outside };

/// d attn_out / d resid_pre of all tokens, without the residual: (tokens hidden, tokens hidden), block lower
/// triangular. Post-LN with the norm inside: of LN(c + attn_out), the residual c being held fixed. T is float or
/// double.
///
///     const auto at = linearise(opt, tokens, layer)[0];
///     attention_jacobian<double> jacobian{at, opt.backend()};
///
/// With pattern A, o_t = sum_s A_ts v_s, and per head (summed over the heads)
///
///     J_tu = W_O [A_tu W_V + A_tu (v_u - o_t)(q_tᵀ W_K) c + δ_tu sum_s A_ts (v_s - o_t)(k_sᵀ W_Q) c] LN_J(u),
///
/// c = 1 / sqrt(head_dim). It runs on the threads of any backend. A product costs about one forward pass of the block
/// for each vector, and holds 5 hidden scalars per token and vector. `block` exists in double only.
template <class T>
class attention_jacobian {
 public:
  using scalar = T;

  explicit attention_jacobian(std::shared_ptr<const layer_point<T>> at, backend_threads backend = {},
                              layer_norm norm = layer_norm::inside)
      : at_{std::move(at)}, backend_{std::move(backend)}, blocks_{at_}, norm_{norm} {}

  [[nodiscard]] std::size_t tokens() const noexcept { return at_->tokens; }
  [[nodiscard]] std::size_t width() const noexcept { return at_->shape.hidden; }
  [[nodiscard]] std::size_t rows() const noexcept { return tokens() * width(); }
  [[nodiscard]] std::size_t cols() const noexcept { return rows(); }
  [[nodiscard]] bool causal() const noexcept { return true; }
  [[nodiscard]] bool diagonal() const noexcept { return false; }

  /// x (k, tokens hidden) to y of the same shape.
  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y);
  /// y (k, tokens hidden) to x of the same shape.
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x);

  /// out (hidden, hidden) = J_tu, in about the time that the memory needs to read heads x hidden² doubles; t = u takes
  /// one more product of two (hidden, hidden) matrices.
  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out)
    requires std::same_as<T, double>;

 private:
  [[nodiscard]] bool norm_before() const { return norm_ == layer_norm::inside && at_->shape.pre_layer_norm; }
  [[nodiscard]] bool norm_after() const { return norm_ == layer_norm::inside && !at_->shape.pre_layer_norm; }
  void prepare(std::size_t vectors);
  [[nodiscard]] tensor_view<T, 2> qkv_part(std::size_t which);
  template <class U>
  [[nodiscard]] tensor_view<U, 2> head_of(tensor_view<U, 2> rows, std::size_t vector, std::size_t head) const;
  template <class Body>
  void each_rows(std::size_t vectors, Body&& body);
  template <class Body>
  void each_head(std::size_t vectors, Body&& body);
  template <class Body>
  void each_query_block(std::size_t head, T* square, Body&& body) const;
  static void softmax_jacobian(tensor_view<const T, 2> a, tensor_view<T, 2> s, T factor);
  [[nodiscard]] T factor() const;
  void mix(std::size_t vector, std::size_t head, T* square);
  void unmix(std::size_t vector, std::size_t head, T* square);

  std::shared_ptr<const layer_point<T>> at_;
  backend_threads backend_;
  attention_blocks<T> blocks_;
  layer_norm norm_;
  tensor<T, 2> qkv_, mixed_;             // (vector token, 3 hidden), (vector token, hidden)
  std::vector<std::vector<T>> squares_;  // [worker]: (query, key)
};

static_assert(linear_operator<attention_jacobian<float>> && block_operator<attention_jacobian<double>>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/attention_jacobian.ipp>
#endif
