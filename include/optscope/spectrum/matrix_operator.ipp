// SPDX-License-Identifier: MIT
#pragma once
// Bodies of matrix_operator.hpp.

#include <algorithm>
#include <optscope/core/errors.hpp>
#include <optscope/spectrum/matrix_operator.hpp>
#include <optscope/spectrum/products.hpp>
#include <string>

namespace optscope {

template <class T>
void matrix_operator<T>::apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
  product::abt<T>(x, matrix_, y);
}
template <class T>
void matrix_operator<T>::apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
  product::ab<T>(y, matrix_, x);
}

OPTSCOPE_INLINE block_matrix_operator::block_matrix_operator(tensor_view<const double, 2> matrix, std::size_t tokens,
                                                             block_structure structure)
    : matrix_operator{matrix}, tokens_{tokens}, structure_{structure} {
  if (tokens == 0 || rows() != cols() || rows() % tokens != 0) {
    throw bad_input{"", "block_matrix_operator",
                    "a square matrix whose rows are a multiple of " + std::to_string(tokens) + " tokens",
                    std::to_string(rows()) + " x " + std::to_string(cols())};
  }
}

OPTSCOPE_INLINE void block_matrix_operator::block(std::size_t t, std::size_t u, tensor_view<double, 2> out) {
  for (std::size_t i = 0; i < width(); ++i) {
    std::copy_n(matrix().row(t * width() + i).data() + u * width(), width(), out.row(i).data());
  }
}

#ifdef OPTSCOPE_COMPILED
template class matrix_operator<float>;
template class matrix_operator<double>;
#endif

}  // namespace optscope
