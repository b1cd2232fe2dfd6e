// SPDX-License-Identifier: MIT
#pragma once
// Bodies of norm_jacobian.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/backend/elementwise.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/spectrum/norm_jacobian.hpp>

namespace optscope {

template <class T>
norm_jacobian<T>::norm_jacobian(tensor_view<const double, 2> x, const T* gamma)
    : gamma_{gamma}, unit_{x.shape()}, gain_(x.rows()) {
  const auto n = static_cast<double>(x.cols());
  for (std::size_t t = 0; t < x.rows(); ++t) {
    const double* row = x.row(t).data();
    const double mean = kernel::lane_sum(row, x.cols(), [](double v) { return v; }) / n;
    const double variance = kernel::lane_sum(row, x.cols(), [mean](double v) { return (v - mean) * (v - mean); }) / n;
    const double gain = 1 / std::sqrt(variance + 1e-5);
    for (std::size_t i = 0; i < x.cols(); ++i) unit_(t, i) = static_cast<T>((row[i] - mean) * gain);
    gain_[t] = static_cast<T>(gain);
  }
}

template <class T>
void norm_jacobian<T>::apply(std::size_t first, tensor_view<const T, 2> x, tensor_view<T, 2> y) const {
  simd::run([&]() __attribute__((always_inline)) {
    for (std::size_t i = 0; i < x.rows(); ++i) push((first + i) % tokens(), x.row(i).data(), y.row(i).data());
  });
}

template <class T>
void norm_jacobian<T>::apply_transposed(std::size_t first, tensor_view<const T, 2> y, tensor_view<T, 2> x) const {
  simd::run([&]() __attribute__((always_inline)) {
    for (std::size_t i = 0; i < x.rows(); ++i) pull((first + i) % tokens(), y.row(i).data(), x.row(i).data());
  });
}

template <class T>
void norm_jacobian<T>::from_right(std::size_t t, tensor_view<T, 2> m) const {
  simd::run([&]() __attribute__((always_inline)) {
    for (std::size_t i = 0; i < m.rows(); ++i) pull(t, m.row(i).data(), m.row(i).data());
  });
}

template <class T>
void norm_jacobian<T>::from_left(std::size_t t, tensor_view<T, 2> m) const {
  const std::size_t d = m.rows(), n = m.cols();
  std::vector<T> sum(n), along(n);  // 1ᵀ m / d, hᵀ m / d
  const T* unit = unit_.row(t).data();
  simd::run([&]() __attribute__((always_inline)) {
    const T each = T{1} / static_cast<T>(d);
    for (std::size_t i = 0; i < d; ++i) {
      const T *row = m.row(i).data(), h = unit[i] * each;
      for (std::size_t j = 0; j < n; ++j) {
        sum[j] += row[j] * each;
        along[j] += row[j] * h;
      }
    }
    for (std::size_t i = 0; i < d; ++i) {
      T* row = m.row(i).data();
      const T scale = gain_[t] * (gamma_ ? gamma_[i] : T{1});
      for (std::size_t j = 0; j < n; ++j) row[j] = scale * (row[j] - sum[j] - unit[i] * along[j]);
    }
  });
}

template <class T>
[[gnu::always_inline]] inline void norm_jacobian<T>::push(std::size_t t, const T* x, T* y) const {
  const std::size_t n = unit_.extent(1);
  const T *unit = unit_.data() + t * n, gain = gain_[t];
  const auto [mean, along] = means(x, unit, n);
  if (gamma_ == nullptr) {
    for (std::size_t i = 0; i < n; ++i) y[i] = gain * (x[i] - mean - unit[i] * along);
  } else {
    for (std::size_t i = 0; i < n; ++i) y[i] = gamma_[i] * (gain * (x[i] - mean - unit[i] * along));
  }
}

template <class T>
[[gnu::always_inline]] inline void norm_jacobian<T>::pull(std::size_t t, const T* y, T* x) const {
  const std::size_t n = unit_.extent(1);
  const T *unit = unit_.data() + t * n, gain = gain_[t];
  if (gamma_ == nullptr) {
    std::copy(y, y + n, x);
  } else {
    for (std::size_t i = 0; i < n; ++i) x[i] = y[i] * gamma_[i];
  }
  const auto [mean, along] = means(x, unit, n);
  for (std::size_t i = 0; i < n; ++i) x[i] = gain * (x[i] - mean - unit[i] * along);
}

template <class T>
[[gnu::always_inline]] inline typename norm_jacobian<T>::pair norm_jacobian<T>::means(const T* x, const T* unit,
                                                                                      std::size_t n) {
  T sum[16] = {}, product[16] = {};
  std::size_t i = 0;
  for (; i + 16 <= n; i += 16) {
    for (std::size_t lane = 0; lane < 16; ++lane) {
      sum[lane] += x[i + lane];
      product[lane] += x[i + lane] * unit[i + lane];
    }
  }
  for (; i < n; ++i) {
    sum[i % 16] += x[i];
    product[i % 16] += x[i] * unit[i];
  }
  for (std::size_t half = 8; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) {
      sum[lane] += sum[lane + half];
      product[lane] += product[lane + half];
    }
  }
  return {sum[0] / static_cast<T>(n), product[0] / static_cast<T>(n)};
}

#ifdef OPTSCOPE_COMPILED
template class norm_jacobian<float>;
template class norm_jacobian<double>;
#endif

}  // namespace optscope
