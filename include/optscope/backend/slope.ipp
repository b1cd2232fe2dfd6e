// SPDX-License-Identifier: MIT
#pragma once
// Bodies of slope.hpp.

#include <cmath>
#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/slope.hpp>

namespace optscope {

OPTSCOPE_INLINE double slope_of(activation kind, double x) noexcept {
  using kernel::sigmoid;
  constexpr double inverse_sqrt_pi = 0.5 * M_2_SQRTPI;
  const auto gelu = [&] {
    return 0.5 * std::erfc(-x * M_SQRT1_2) + x * std::exp(-0.5 * x * x) * inverse_sqrt_pi * M_SQRT1_2;
  };
  const auto gelu_tanh = [&](double a) {
    constexpr double b = 0.044715;
    const double t = std::tanh(a * (x + b * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * a * (1 + 3 * b * x * x);
  };
  const auto swish = [&](double a) { return sigmoid(a * x) * (1 + a * x * sigmoid(-a * x)); };  // of x sigmoid(a x)
  switch (kind) {
    case activation::relu: return x > 0;
    case activation::gelu: return gelu();
    case activation::gelu_tanh: return gelu_tanh(0.7978845608028654);
    case activation::gelu_fast: return gelu_tanh(0.7978845608);
    case activation::gelu_10: return kernel::gelu(x) <= 10 ? gelu() : 0;
    case activation::quick_gelu: return swish(1.702);
    case activation::silu: return swish(1);
    case activation::mish: {
      const double tanh = std::tanh(kernel::softplus(x));
      return tanh + x * (1 - tanh * tanh) * sigmoid(x);
    }
    case activation::leaky_relu: return x > 0 ? 1 : 0.01;
    case activation::relu6: return x > 0 && x < 6;
    case activation::relu2: return x > 0 ? 2 * x : 0;
    case activation::hardswish: return x <= -3 ? 0 : x < 3 ? x / 3 + 0.5 : 1;
    case activation::laplace: {
      constexpr double width = 0.282095 * M_SQRT2;
      const double z = (x - 0.707107) / width;
      return std::exp(-z * z) * inverse_sqrt_pi / width;
    }
    case activation::sqrtsoftplus: return (x > 20 ? 1 : sigmoid(x)) / (2 * std::sqrt(kernel::softplus(x)));
    case activation::tanh: return 1 - std::tanh(x) * std::tanh(x);
    case activation::sigmoid: return sigmoid(x) * sigmoid(-x);
    case activation::identity: return 1;
  }
  return 1;
}

}  // namespace optscope
