// SPDX-License-Identifier: MIT
#pragma once
// The closed form of an attention block's Jacobian, one (output token, input token) block at a time.

#include <cstddef>
#include <memory>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/layer_point.hpp>
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
/// two (hidden, hidden) matrices. If P would be larger than a quarter of a GiB, that product is taken instead. T is
/// float or double.
template <class T>
class attention_blocks {
 public:
  explicit attention_blocks(std::shared_ptr<const layer_point<T>> at) : at_{std::move(at)} {}

  /// out (hidden, hidden) = M_tu; zeros for u > t.
  void write(std::size_t t, std::size_t u, thread_pool& pool, tensor_view<T, 2> out);

 private:
  [[nodiscard]] tensor_view<const T, 2> output(std::size_t h) const;
  [[nodiscard]] tensor_view<const T, 2> input(std::size_t which, std::size_t h) const;
  void prepare(thread_pool& pool);
  void scaled_product(std::size_t first, const std::vector<T>& a, tensor_view<T, 2> rows) const;
  void add_outer(std::size_t first, const std::vector<T>& a, tensor_view<T, 2> rows) const;
  void add_query_part(std::size_t t, thread_pool& pool, T c, tensor_view<T, 2> out);

  std::shared_ptr<const layer_point<T>> at_;
  tensor<T, 3> products_;      // (hidden, head, hidden): P, read from one end to the other for each block
  tensor<T, 2> left_, right_;  // (hidden, head): w; (head, hidden): g
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/attention_blocks.ipp>
#endif
