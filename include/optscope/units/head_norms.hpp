// SPDX-License-Identifier: MIT
#pragma once
// The norm of what each head adds to the stream, without forming it.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/tensors.hpp>
#include <string>
#include <vector>

namespace optscope {

/// Norms of `result` from `z`: |W z| = |R z| with R the Cholesky factor of WᵀW, where W (hidden, head_dim) is the
/// head's columns of W_O. That is head_dim² multiplications instead of hidden x head_dim. WᵀW and R are computed in
/// double, so the relative error is that of W z in float unless z lies in a direction that W shortens by 1e7 or more.
class head_norms {
 public:
  head_norms() = default;
  /// W_O of one layer: (hidden, hidden), columns head by head.
  head_norms(tensor_view<const double, 2> out_weight, std::size_t heads);

  /// z (position, head, head_dim) to norms (position, head).
  void operator()(tensor_view<const float, 3> z, tensor_view<float, 2> norms) const;

 private:
  std::size_t heads_ = 0, width_ = 0;
  std::vector<float> factors_;  // (head, head_dim of z, head_dim of the image)
};

/// The norms of every layer of a model: [layer].
template <class Model>
[[nodiscard]] std::vector<head_norms> head_norms_of(const Model& opt) {
  const layer_sizes sizes = layer_sizes_of(opt.files().configuration(), opt.shape());
  std::vector<head_norms> norms;
  for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
    const stored_tensor& out =
        require_tensor(opt.files(), tensor_of(opt.shape(), sizes, tensor_role::attention_out, layer));
    tensor<double, 2> weight{{out.rows(), out.row_size()}};
    out.copy_to(weight.data());
    norms.emplace_back(tensor_view<const double, 2>{weight.view()}, out.row_size() / opt.shape().head_dim());
  }
  return norms;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/head_norms.ipp>
#endif
