// SPDX-License-Identifier: MIT
#pragma once
// Bodies of head_norms.hpp.

#include <cmath>
#include <optscope/core/simd.hpp>
#include <optscope/units/head_norms.hpp>

namespace optscope {
namespace detail {

/// gram = L Lᵀ; writes L by rows, (width, width): row j holds column j of R = Lᵀ. A direction that W maps to zero gets
/// a column of zeros.
inline void cholesky_factor(std::vector<double>& gram, std::size_t width, float* out) {
  double trace = 0;
  for (std::size_t i = 0; i < width; ++i) trace += gram[i * width + i];
  for (std::size_t j = 0; j < width; ++j) {
    double pivot = gram[j * width + j];
    for (std::size_t k = 0; k < j; ++k) pivot -= gram[j * width + k] * gram[j * width + k];
    const double root = pivot > 1e-15 * trace ? std::sqrt(pivot) : 0;
    gram[j * width + j] = root;
    for (std::size_t i = j + 1; i < width; ++i) {
      double value = gram[i * width + j];
      for (std::size_t k = 0; k < j; ++k) value -= gram[i * width + k] * gram[j * width + k];
      gram[i * width + j] = root == 0 ? 0 : value / root;
    }
  }
  for (std::size_t i = 0; i < width; ++i) {
    for (std::size_t j = 0; j < width; ++j) out[i * width + j] = j <= i ? static_cast<float>(gram[i * width + j]) : 0;
  }
}

}  // namespace detail

OPTSCOPE_INLINE head_norms::head_norms(tensor_view<const double, 2> out_weight, std::size_t heads)
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
    detail::cholesky_factor(gram, width_, factors_.data() + head * width_ * width_);
  }
}

OPTSCOPE_INLINE void head_norms::operator()(tensor_view<const float, 3> z, tensor_view<float, 2> norms) const {
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

}  // namespace optscope
