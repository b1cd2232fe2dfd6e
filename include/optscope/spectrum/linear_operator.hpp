// SPDX-License-Identifier: MIT
#pragma once
// The linear operator concepts: a matrix that is known by its products with vectors, and one that can write its blocks.

#include <concepts>
#include <cstddef>
#include <optscope/core/tensor.hpp>

namespace optscope {

/// The scalars that analysers compute with.
template <class T>
concept operator_scalar = std::same_as<T, float> || std::same_as<T, double>;

/// A matrix A (rows, cols) of `Op::scalar`, which is float or double, that multiplies several vectors at once. A vector
/// is one contiguous row of a view.
///
/// * `apply(x (k, cols), y (k, rows))`: y_i = A x_i for each of the k vectors.
/// * `apply_transposed(y (k, rows), x (k, cols))`: x_i = Aᵀ y_i.
///
/// Both overwrite their second argument and may use scratch memory of their own. One thread calls them at a time.
///
///     struct twice_the_identity {
///       using scalar = float;
///       std::size_t size;
///       std::size_t rows() const { return size; }
///       std::size_t cols() const { return size; }
///       void apply(tensor_view<const float, 2> x, tensor_view<float, 2> y) {
///         for (std::size_t i = 0; i < x.rows(); ++i) {
///           for (std::size_t j = 0; j < size; ++j) y(i, j) = 2 * x(i, j);
///         }
///       }
///       void apply_transposed(tensor_view<const float, 2> y, tensor_view<float, 2> x) { apply(y, x); }
///     };
template <class Op>
concept linear_operator = operator_scalar<typename Op::scalar> &&
                          requires(Op& op, const Op& constant, tensor_view<const typename Op::scalar, 2> in,
                                   tensor_view<typename Op::scalar, 2> out) {
                            { constant.rows() } -> std::convertible_to<std::size_t>;
                            { constant.cols() } -> std::convertible_to<std::size_t>;
                            op.apply(in, out);
                            op.apply_transposed(in, out);
                          };

/// A linear operator that is made of tokens() x tokens() square blocks of width() and can write each of them. Analysers
/// that need the whole matrix then ask for blocks instead of products with unit vectors.
///
/// * `block(t, u, out (width, width))`: the block of output token t and input token u in double, row-major.
/// * `causal()`: blocks with u > t are zero. `diagonal()`: all blocks with u != t are zero.
template <class Op>
concept block_operator = linear_operator<Op> && requires(Op& op, const Op& constant, tensor_view<double, 2> out) {
  { constant.tokens() } -> std::convertible_to<std::size_t>;
  { constant.width() } -> std::convertible_to<std::size_t>;
  { constant.causal() } -> std::same_as<bool>;
  { constant.diagonal() } -> std::same_as<bool>;
  op.block(std::size_t{}, std::size_t{}, out);
};

/// What is known of an operator before any product: enough to tell what an analysis of it will cost.
struct operator_shape {
  std::size_t rows = 0, cols = 0;
  std::size_t scalar_bytes = sizeof(double);
  std::size_t tokens = 0, width = 0;  ///< 0 if the operator does not say
  bool blocks = false;                ///< it can write its blocks
  bool causal = false;                ///< with `blocks`: those of later input tokens are zero
  bool diagonal = false;              ///< with `blocks`: those of other input tokens are zero
};

template <linear_operator Op>
[[nodiscard]] operator_shape shape_of(const Op& op) {
  operator_shape shape{.rows = op.rows(), .cols = op.cols(), .scalar_bytes = sizeof(typename Op::scalar)};
  if constexpr (requires { op.tokens(), op.width(); }) {
    shape.tokens = op.tokens();
    shape.width = op.width();
  }
  if constexpr (block_operator<Op>) {
    shape.blocks = true;
    shape.causal = op.causal();
    shape.diagonal = op.diagonal();
  }
  return shape;
}

}  // namespace optscope
