// SPDX-License-Identifier: MIT
#pragma once
// The largest singular values with their vectors, from products with the operator alone.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/analyser.hpp>
#include <optscope/spectrum/erased_operator.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// Leading singular values with their vectors, A right_i = values_i left_i.
template <class T>
struct leading_spectrum : spectrum {
  tensor<T, 2> left;   ///< (value, rows), orthonormal
  tensor<T, 2> right;  ///< (value, cols), orthonormal
  /// [value]: the larger of |A v - s u| and |Aᵀ u - s v|, measured with two products at the end, relative to the
  /// largest value: a singular value of A lies within this distance of values[i].
  std::vector<double> residuals;
};

struct largest_settings : analysis_settings {
  std::size_t count = 10;       ///< how many values
  double tolerance = 0;         ///< for `residuals`; 0: 1e-4 for float, 1e-10 for double
  std::size_t basis = 0;        ///< vectors kept on each side before a restart; 0: 4 count + 40
  std::size_t products = 2000;  ///< give up after this many vectors went through the operator
  std::uint64_t seed = 1;
};

/// The largest singular values by block Golub-Kahan bidiagonalisation with full reorthogonalisation and thick restarts
/// (Baglama & Reichel 2005), from a random block.
///
///     const auto top = largest{{.count = 20}}(jacobian);  // top.values, top.left, top.right, top.residuals
///
/// Cost: a product on each side for each vector of the basis. Memory: `basis` vectors on each side in the operator's
/// scalar. Values that have not converged are kept, with their residuals, and the outcome is `not_converged`. Same bits
/// for a seed if the operator gives the same bits.
class largest {
 public:
  using scalar = float;
  using settings = largest_settings;
  static constexpr std::string_view name = "largest", help = "the largest values, with their vectors";

  explicit largest(largest_settings chosen = {}) : settings_{std::move(chosen)} {}

  [[nodiscard]] std::size_t bytes(const operator_shape& shape) const;
  [[nodiscard]] double operations(const operator_shape& shape) const;
  /// Throws `bad_input`, before any work, for a size or memory that will not do.
  void check(const operator_shape& shape) const;

  template <class Op>
  [[nodiscard]] leading_spectrum<typename Op::scalar> operator()(Op& op) const {
    auto erased = detail::erased(op);
    return analyse<typename Op::scalar>(erased);
  }

 private:
  template <class T>
  [[nodiscard]] leading_spectrum<T> analyse(detail::any_operator<T>& op) const;

  largest_settings settings_;
};

/// An analyser whose result has singular vectors, as `leading_spectrum` has them: what finding directions takes.
template <class A, class Op = matrix_operator<float>>
concept vector_analyser = spectrum_analyser<A, Op> && requires(const A analyser, Op& op) {
  { analyser(op).left.view() } -> std::convertible_to<tensor_view<typename Op::scalar, 2>>;
  { analyser(op).right.view() } -> std::convertible_to<tensor_view<typename Op::scalar, 2>>;
  { analyser(op).residuals } -> std::convertible_to<std::vector<double>>;
};

static_assert(vector_analyser<largest> && vector_analyser<largest, matrix_operator<double>>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/largest.ipp>
#endif
