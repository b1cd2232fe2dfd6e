// SPDX-License-Identifier: MIT
#pragma once
// Matrices in memory as linear operators: for comparisons, tests, and matrices of one's own.

#include <algorithm>
#include <cstddef>
#include <optscope/backend/blas_functions.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/linear_operator.hpp>
#include <string>

namespace optscope {

/// A row-major matrix (rows, cols) of float or double as a linear operator; refers to it and copies nothing.
template <class T>
class matrix_operator {
 public:
  using scalar = T;

  explicit matrix_operator(tensor_view<const T, 2> matrix) : matrix_{matrix} {}

  [[nodiscard]] std::size_t rows() const noexcept { return matrix_.rows(); }
  [[nodiscard]] std::size_t cols() const noexcept { return matrix_.cols(); }
  [[nodiscard]] tensor_view<const T, 2> matrix() const noexcept { return matrix_; }

  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) { product(blas::transpose::yes, x, y); }
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) { product(blas::transpose::no, y, x); }

 private:
  void product(blas::transpose transpose, tensor_view<const T, 2> in, tensor_view<T, 2> out) {
    const auto count = static_cast<int>(in.rows()), n = static_cast<int>(out.cols()), k = static_cast<int>(in.cols());
    const auto lda = static_cast<int>(in.stride()), ldb = static_cast<int>(matrix_.stride());
    const auto ldc = static_cast<int>(out.stride());
    blas::gemm(blas::layout::row_major, blas::transpose::no, transpose, count, n, k, T{1}, in.data(), lda,
               matrix_.data(), ldb, T{0}, out.data(), ldc);
  }

  tensor_view<const T, 2> matrix_;
};

/// Which blocks of a block operator may differ from zero.
enum class block_structure { full, causal, diagonal };

/// A square matrix of double that is seen as tokens x tokens blocks. Throws `bad_input` if the sizes do not fit.
class block_matrix_operator : public matrix_operator<double> {
 public:
  block_matrix_operator(tensor_view<const double, 2> matrix, std::size_t tokens,
                        block_structure structure = block_structure::full)
      : matrix_operator{matrix}, tokens_{tokens}, structure_{structure} {
    if (tokens == 0 || rows() != cols() || rows() % tokens != 0) {
      throw bad_input{"", "block_matrix_operator", "a square matrix of " + std::to_string(tokens) + " blocks a side",
                      std::to_string(rows()) + " x " + std::to_string(cols())};
    }
  }

  [[nodiscard]] std::size_t tokens() const noexcept { return tokens_; }
  [[nodiscard]] std::size_t width() const noexcept { return rows() / tokens_; }
  [[nodiscard]] bool causal() const noexcept { return structure_ != block_structure::full; }
  [[nodiscard]] bool diagonal() const noexcept { return structure_ == block_structure::diagonal; }

  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out) {
    for (std::size_t i = 0; i < width(); ++i) {
      std::copy_n(matrix().row(t * width() + i).data() + u * width(), width(), out.row(i).data());
    }
  }

 private:
  std::size_t tokens_;
  block_structure structure_;
};

static_assert(linear_operator<matrix_operator<float>> && linear_operator<matrix_operator<double>>);
static_assert(block_operator<block_matrix_operator>, "the operator that tests and examples use is a block operator");

}  // namespace optscope
