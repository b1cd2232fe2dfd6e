// SPDX-License-Identifier: MIT
#pragma once
// The linear operator concept: a matrix that is known by what it does to vectors.

#include <concepts>
#include <cstddef>
#include <optscope/core/tensor.hpp>

namespace optscope {

/// A matrix (rows, cols) of `Op::scalar` that can be multiplied by several vectors at once. A vector is one contiguous
/// row of a view, so a view (k, cols) holds k columns of what mathematics would write as a (cols, k) matrix.
///
/// * `apply(x (k, cols), y (k, rows))`: y_i = A x_i for each of the k vectors.
/// * `apply_transposed(y (k, rows), x (k, cols))`: x_i = Aᵀ y_i.
///
/// Both overwrite their second argument, may use scratch memory of their own, and are called by one thread at a time.
template <class Op>
concept linear_operator = requires(Op op, const Op& constant, tensor_view<const typename Op::scalar, 2> in,
                                   tensor_view<typename Op::scalar, 2> out) {
  { constant.rows() } -> std::convertible_to<std::size_t>;
  { constant.cols() } -> std::convertible_to<std::size_t>;
  op.apply(in, out);
  op.apply_transposed(in, out);
};

/// A linear operator that is made of tokens() x tokens() square blocks of width() and can write each of them.
///
/// * `block(t, u, out (width, width))`: the block of output token t and input token u in `double`, row-major.
/// * `causal()`: blocks with u > t are zero. `diagonal()`: all blocks with u != t are.
template <class Op>
concept block_operator = linear_operator<Op> && requires(Op op, const Op& constant, tensor_view<double, 2> out) {
  { constant.tokens() } -> std::convertible_to<std::size_t>;
  { constant.width() } -> std::convertible_to<std::size_t>;
  { constant.causal() } -> std::same_as<bool>;
  { constant.diagonal() } -> std::same_as<bool>;
  op.block(std::size_t{}, std::size_t{}, out);
};

}  // namespace optscope
