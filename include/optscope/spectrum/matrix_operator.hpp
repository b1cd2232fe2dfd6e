// SPDX-License-Identifier: MIT
#pragma once
// Matrices in memory as linear operators: for comparisons, tests, and matrices from elsewhere.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/linear_operator.hpp>

namespace optscope {

/// A row-major matrix (rows, cols) of float or double as a linear operator. It refers to the matrix and copies nothing.
template <class T>
class matrix_operator {
 public:
  using scalar = T;

  explicit matrix_operator(tensor_view<const T, 2> matrix) : matrix_{matrix} {}

  [[nodiscard]] std::size_t rows() const noexcept { return matrix_.rows(); }
  [[nodiscard]] std::size_t cols() const noexcept { return matrix_.cols(); }
  [[nodiscard]] tensor_view<const T, 2> matrix() const noexcept { return matrix_; }

  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y);
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x);

 private:
  tensor_view<const T, 2> matrix_;
};

/// Which blocks of a block operator may differ from zero.
enum class block_structure { full, causal, diagonal };

/// A square matrix of double that is seen as tokens x tokens blocks. Throws `bad_input` if the sizes do not fit.
class block_matrix_operator : public matrix_operator<double> {
 public:
  block_matrix_operator(tensor_view<const double, 2> matrix, std::size_t tokens,
                        block_structure structure = block_structure::full);

  [[nodiscard]] std::size_t tokens() const noexcept { return tokens_; }
  [[nodiscard]] std::size_t width() const noexcept { return rows() / tokens_; }
  [[nodiscard]] bool causal() const noexcept { return structure_ != block_structure::full; }
  [[nodiscard]] bool diagonal() const noexcept { return structure_ == block_structure::diagonal; }

  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out);

 private:
  std::size_t tokens_;
  block_structure structure_;
};

static_assert(linear_operator<matrix_operator<float>> && linear_operator<matrix_operator<double>>);
static_assert(block_operator<block_matrix_operator>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/matrix_operator.ipp>
#endif
