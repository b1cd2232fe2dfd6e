// SPDX-License-Identifier: MIT
#pragma once
// Checks and scaling of matrices that are written out, in double.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <span>

namespace optscope::detail {

/// The largest |element|. Throws `bad_input` if one is not finite, naming row and column; `first_row` is the number of
/// the first row.
double largest_element(tensor_view<const double, 2> matrix, std::size_t first_row);

/// Exponent of the power of two to divide numbers up to `largest` by so that their squares neither overflow nor vanish;
/// 0 if they do not need it.
[[nodiscard]] int safe_exponent(double largest);

/// Divides `numbers` by 2^exponent, and returns that exponent. `matrix` is a view of the numbers that begins at row
/// `first_row`.
int scale_safely(std::span<double> numbers, tensor_view<const double, 2> matrix, std::size_t first_row);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/dense.ipp>
#endif
