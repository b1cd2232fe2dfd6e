// SPDX-License-Identifier: MIT
#pragma once
// Loops over one row: LayerNorm, softmax, nonlinearities, written so that compilers vectorise them.
// They are always inlined: inside `simd::run` they are compiled for the CPU that the program runs on.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/core/architecture.hpp>

namespace optscope::kernel {

/// e^x for x <= 0 within 2 units in the last place (float); below -87 the result is about 1e-38 rather than 0.
/// Cody-Waite reduction and the polynomial of Cephes' `expf`. In double it is the standard function.
[[nodiscard, gnu::always_inline]] inline float exp_nonpositive(float x) noexcept {
  constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to a whole number
  // x = max(x, -87), by bits: of `?:` g++ makes a branch in softmax, and then one element at a time.
  const std::int32_t low = -static_cast<std::int32_t>(x < -87.0f);
  x = std::bit_cast<float>((std::bit_cast<std::int32_t>(x) & ~low) | (std::bit_cast<std::int32_t>(-87.0f) & low));
  const float shifted = x * 1.44269504088896341f + magic;
  const std::int32_t n = std::bit_cast<std::int32_t>(shifted) - std::bit_cast<std::int32_t>(magic);
  const float whole = shifted - magic;
  const float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;  // x - whole * ln 2 in two steps
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  return std::bit_cast<float>(std::bit_cast<std::int32_t>(p) + (n << 23));
}
[[nodiscard]] inline double exp_nonpositive(double x) noexcept { return std::exp(x); }

/// Sum of `f(x[i])` in 16 interleaved partial sums: fixed order, and wide enough for any vector unit.
template <class T, class Function>
[[nodiscard, gnu::always_inline]] inline T lane_sum(const T* x, std::size_t n, Function f) noexcept {
  T lanes[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) lanes[lane] += f(x[i + lane]);
  }
  for (; i < n; ++i) lanes[i % 16] += f(x[i]);
  for (std::size_t half = 8; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

/// y += x.
template <class T>
[[gnu::always_inline]] inline void add(const T* x, std::size_t n, T* y) noexcept {
  for (std::size_t i = 0; i < n; ++i) y[i] += x[i];
}

/// What LayerNorm subtracts and what it divides by: the mean and sqrt(var + 1e-5), biased variance.
template <class T>
struct layer_norm_moments {
  T mean, scale;
};
template <class T>
[[nodiscard, gnu::always_inline]] inline layer_norm_moments<T> moments(const T* x, std::size_t n) noexcept {
  const T mean = lane_sum(x, n, [](T value) { return value; }) / static_cast<T>(n);
  const T variance = lane_sum(x, n, [mean](T value) { return (value - mean) * (value - mean); }) / static_cast<T>(n);
  return {mean, std::sqrt(variance + static_cast<T>(1e-5))};
}

/// y = (x - mean) / scale * gamma + beta; `gamma` and `beta` may be null. In place allowed.
template <class T>
[[gnu::always_inline]] inline void normalize(const T* x, const layer_norm_moments<T>& of_x, const T* gamma,
                                             const T* beta, std::size_t n, T* y) noexcept {
  const T mean = of_x.mean, factor = T{1} / of_x.scale;
  for (std::size_t i = 0; i < n; ++i) y[i] = (x[i] - mean) * factor;
  if (gamma != nullptr) {
    for (std::size_t i = 0; i < n; ++i) y[i] *= gamma[i];
  }
  if (beta != nullptr) {
    for (std::size_t i = 0; i < n; ++i) y[i] += beta[i];
  }
}

/// LayerNorm of one row: `normalize` with the moments of x.
template <class T>
[[gnu::always_inline]] inline void layer_norm(const T* x, const T* gamma, const T* beta, std::size_t n, T* y) noexcept {
  normalize(x, moments(x, n), gamma, beta, n, y);
}

template <class T>
[[nodiscard, gnu::always_inline]] inline T largest(const T* x, std::size_t n) noexcept {
  T lanes[16];
  std::fill_n(lanes, 16, -std::numeric_limits<T>::infinity());
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) lanes[lane] = lanes[lane] < x[i + lane] ? x[i + lane] : lanes[lane];
  }
  for (; i < n; ++i) lanes[0] = lanes[0] < x[i] ? x[i] : lanes[0];
  return *std::max_element(lanes, lanes + 16);
}

/// Softmax of x[0, n) in place. n >= 1.
template <class T>
[[gnu::always_inline]] inline void softmax(T* x, std::size_t n) noexcept {
  const T highest = largest(x, n);
  for (std::size_t i = 0; i < n; ++i) x[i] = exp_nonpositive(x[i] - highest);
  const T factor = T{1} / lane_sum(x, n, [](T value) { return value; });
  for (std::size_t i = 0; i < n; ++i) x[i] *= factor;
}

template <class T>
[[nodiscard]] inline T sigmoid(T x) noexcept {
  return T{1} / (T{1} + std::exp(-x));
}
template <class T>
[[nodiscard]] inline T gelu(T x) noexcept {
  return x * T{0.5} * std::erfc(x * static_cast<T>(-M_SQRT1_2));
}
/// x (1 + tanh(factor (x + 0.044715 x³))) / 2.
template <class T>
[[nodiscard]] inline T gelu_tanh(T x, double factor) noexcept {
  return T{0.5} * x * (T{1} + std::tanh(static_cast<T>(factor) * (x + static_cast<T>(0.044715) * x * x * x)));
}
/// log(1 + e^x); the identity above 20, as in PyTorch.
template <class T>
[[nodiscard]] inline T softplus(T x) noexcept {
  return x > T{20} ? x : std::log1p(std::exp(x));
}
/// x limited to [low, high]; NaN stays NaN.
template <class T>
[[nodiscard]] inline T clip(T x, T low, T high) noexcept {
  return x < low ? low : x > high ? high : x;
}

/// max(x, 0) in place; NaN stays NaN.
template <class T>
[[gnu::always_inline]] inline void relu(T* x, std::size_t n) noexcept {
  for (std::size_t i = 0; i < n; ++i) x[i] = x[i] < T{0} ? T{0} : x[i];
}

/// The nonlinearity of the MLP, in place: the functions of transformers' `ACT2FN`.
template <class T>
[[gnu::always_inline]] inline void activate(activation kind, T* x, std::size_t n) noexcept {
  const auto each = [&](auto&& f) {
    for (std::size_t i = 0; i < n; ++i) x[i] = f(x[i]);
  };
  switch (kind) {
    case activation::relu: return relu(x, n);
    case activation::gelu: return each([](T v) { return gelu(v); });
    case activation::gelu_tanh: return each([](T v) { return gelu_tanh(v, 0.7978845608028654); });
    case activation::gelu_fast: return each([](T v) { return gelu_tanh(v, 0.7978845608); });
    case activation::gelu_10: return each([](T v) { return clip(gelu(v), T{-10}, T{10}); });
    case activation::quick_gelu: return each([](T v) { return v * sigmoid(static_cast<T>(1.702) * v); });
    case activation::silu: return each([](T v) { return v * sigmoid(v); });
    case activation::mish: return each([](T v) { return v * std::tanh(softplus(v)); });
    case activation::leaky_relu: return each([](T v) { return v < T{0} ? static_cast<T>(0.01) * v : v; });
    case activation::relu6: return each([](T v) { return clip(v, T{0}, T{6}); });
    case activation::relu2: return each([](T v) { return v < T{0} ? T{0} : v * v; });
    case activation::hardswish: return each([](T v) { return v * clip(v + T{3}, T{0}, T{6}) / T{6}; });
    case activation::laplace:
      return each([](T v) {
        return T{0.5} * (T{1} + std::erf((v - static_cast<T>(0.707107)) / static_cast<T>(0.282095 * M_SQRT2)));
      });
    case activation::sqrtsoftplus: return each([](T v) { return std::sqrt(softplus(v)); });
    case activation::tanh: return each([](T v) { return std::tanh(v); });
    case activation::sigmoid: return each([](T v) { return sigmoid(v); });
    case activation::identity: return;
  }
}

}  // namespace optscope::kernel
