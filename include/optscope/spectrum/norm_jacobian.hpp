// SPDX-License-Identifier: MIT
#pragma once
// The Jacobian of a LayerNorm at each token of a text.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <vector>

namespace optscope {

/// Of token t with input x (d):
///
///     J(t) = diag(gamma) / s (I - 1 1ᵀ / d - h hᵀ / d),   s = sqrt(var + 1e-5),   h = (x - mean) / s
///
/// The all-ones vector is an exact null vector; h has the gain eps / (var + eps). Only the constructor and `from_left`
/// allocate. T is float or double.
template <class T>
class norm_jacobian {
 public:
  norm_jacobian() = default;
  /// At the rows of x (token, d), whose statistics are taken in double. `gamma` (d) or null must stay alive.
  norm_jacobian(tensor_view<const double, 2> x, const T* gamma);

  [[nodiscard]] std::size_t tokens() const noexcept { return gain_.size(); }

  /// y_i = J(t) x_i for rows i, where t is the i-th row's token: (first + i) % tokens(). x and y may be the same.
  void apply(std::size_t first, tensor_view<const T, 2> x, tensor_view<T, 2> y) const;
  /// x_i = J(t)ᵀ y_i, rows as above.
  void apply_transposed(std::size_t first, tensor_view<const T, 2> y, tensor_view<T, 2> x) const;

  /// m (any, d) = m J(t).
  void from_right(std::size_t t, tensor_view<T, 2> m) const;
  /// m (d, n) = J(t) m.
  void from_left(std::size_t t, tensor_view<T, 2> m) const;

 private:
  struct pair {
    T mean, along;  // 1ᵀ x / d, hᵀ x / d
  };
  [[gnu::always_inline]] inline void push(std::size_t t, const T* x, T* y) const;
  [[gnu::always_inline]] inline void pull(std::size_t t, const T* y, T* x) const;
  [[gnu::always_inline]] inline static pair means(const T* x, const T* unit, std::size_t n);

  const T* gamma_ = nullptr;
  tensor<T, 2> unit_;    // (token, d): h
  std::vector<T> gain_;  // [token]: 1 / s
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/norm_jacobian.ipp>
#endif
