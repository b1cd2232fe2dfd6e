// SPDX-License-Identifier: MIT
#pragma once
// Eigenvectors of two symmetric matrices at once: where one quadratic form is large compared with another.

#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor.hpp>
#include <vector>

namespace optscope {

/// Solutions of A v = λ B v, the largest λ first, with vᵀ B v = 1; vectors of different λ are B-orthogonal.
struct pair_vectors {
  std::vector<double> values;  ///< [vector]: λ = vᵀ A v / vᵀ B v
  tensor<double, 2> rows;      ///< (vector, n)
};

/// All n solutions. Only the lower triangles of a and b (n, n) are read. About 14 n^3 operations, memory 6 n^2 doubles.
/// Throws `error` if b is not positive definite or LAPACK's dsygvd does not converge.
[[nodiscard]] pair_vectors eigenvectors_of_pair(tensor_view<const double, 2> a, tensor_view<const double, 2> b);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/symmetric_pair.ipp>
#endif
