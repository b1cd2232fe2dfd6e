// SPDX-License-Identifier: MIT
#pragma once
// The norm of what each head adds to the stream, without forming it.

#include <cmath>
#include <cstddef>
#include <optscope/core/simd.hpp>
#include <optscope/core/tensor.hpp>
#include <string>
#include <vector>

namespace optscope {

/// Norms of `result` from `z`: |W z| = |R z| with R the Cholesky factor of WᵀW, W (hidden, head_dim) being the head's
/// columns of W_O. That is head_dim² multiplications instead of hidden x head_dim. WᵀW and R are computed in double, so
/// that the relative error is that of W z in float unless z lies in a direction which W shortens by 1e7 or more.
class head_norms {
 public:
  head_norms() = default;
  /// W_O of one layer (hidden, hidden), whose columns belong to the heads in order.
  head_norms(tensor_view<const double, 2> out_weight, std::size_t heads)
      : heads_{heads}, width_{out_weight.cols() / heads}, factors_(heads * width_ * width_) {
    std::vector<double> gram(width_ * width_);
    for (std::size_t head = 0; head < heads; ++head) {
      gram.assign(gram.size(), 0);
      for (std::size_t row = 0; row < out_weight.rows(); ++row) {
        const double* w = out_weight.row(row).data() + head * width_;
        for (std::size_t i = 0; i < width_; ++i) {
          for (std::size_t j = 0; j <= i; ++j) gram[i * width_ + j] += w[i] * w[j];
        }
      }
      factor(gram, factors_.data() + head * width_ * width_);
    }
  }

  /// z (position, head, head_dim) to norms (position, head).
  void operator()(tensor_view<const float, 3> z, tensor_view<float, 2> norms) const {
    std::vector<float> scratch(width_);
    float* const image = scratch.data();
    simd::run([&]() __attribute__((always_inline)) {
      for (std::size_t row = 0; row < z.rows(); ++row) {
        for (std::size_t head = 0; head < heads_; ++head) {
          const float* x = z.row(row).data() + head * width_;
          const float* r = factors_.data() + head * width_ * width_;
          for (std::size_t i = 0; i < width_; ++i) image[i] = 0;
          for (std::size_t j = 0; j < width_; ++j) {
            for (std::size_t i = 0; i < width_; ++i) image[i] += r[j * width_ + i] * x[j];
          }
          float square = 0;
          for (std::size_t i = 0; i < width_; ++i) square += image[i] * image[i];
          norms(row, head) = std::sqrt(square);
        }
      }
    });
  }

 private:
  /// gram = L Lᵀ; writes L by rows: row j holds column j of R = Lᵀ. A direction that W maps to zero gets a zero column.
  void factor(std::vector<double>& gram, float* out) const {
    double trace = 0;
    for (std::size_t i = 0; i < width_; ++i) trace += gram[i * width_ + i];
    for (std::size_t j = 0; j < width_; ++j) {
      double pivot = gram[j * width_ + j];
      for (std::size_t k = 0; k < j; ++k) pivot -= gram[j * width_ + k] * gram[j * width_ + k];
      const double root = pivot > 1e-15 * trace ? std::sqrt(pivot) : 0;
      gram[j * width_ + j] = root;
      for (std::size_t i = j + 1; i < width_; ++i) {
        double value = gram[i * width_ + j];
        for (std::size_t k = 0; k < j; ++k) value -= gram[i * width_ + k] * gram[j * width_ + k];
        gram[i * width_ + j] = root == 0 ? 0 : value / root;
      }
    }
    for (std::size_t i = 0; i < width_; ++i) {
      for (std::size_t j = 0; j < width_; ++j)
        out[i * width_ + j] = j <= i ? static_cast<float>(gram[i * width_ + j]) : 0;
    }
  }

  std::size_t heads_ = 0, width_ = 0;
  std::vector<float> factors_;  // (head, head_dim of z, head_dim of the image)
};

/// Of every layer of a model: [layer].
template <class Model>
[[nodiscard]] std::vector<head_norms> head_norms_of(const Model& opt) {
  std::vector<head_norms> norms;
  for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
    const auto& out = opt.files().at("decoder.layers." + std::to_string(layer) + ".self_attn.out_proj.weight");
    tensor<double, 2> weight{{out.rows(), out.row_size()}};
    out.copy_to(weight.data());
    norms.emplace_back(tensor_view<const double, 2>{weight.view()}, out.row_size() / opt.shape().head_dim());
  }
  return norms;
}

}  // namespace optscope
