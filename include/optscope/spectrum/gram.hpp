// SPDX-License-Identifier: MIT
#pragma once
// All singular values through JᵀJ: fast, and blind below 1e-8 of the largest.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/spectrum/analyser.hpp>
#include <optscope/spectrum/band_chase.hpp>
#include <optscope/spectrum/band_matrix.hpp>
#include <optscope/spectrum/erased_operator.hpp>
#include <string_view>
#include <utility>

namespace optscope {

/// All singular values as roots of the eigenvalues of G = JᵀJ (or JJᵀ, the smaller of the two).
///
/// G is summed up from panels of rows as the operator writes them, so J itself is never held; the zeros of a causal
/// operator are skipped (n^3/3 operations instead of n^3). Then a band of width 64, 4/3 n^3, whose bulges are chased to
/// a tridiagonal, 384 n^2, and `dsterf`. Memory: G, 8 bytes * n^2. An error of eps in an eigenvalue is one of sqrt(eps)
/// in a singular value near zero: the result's floor says how large. Throws what `exact` throws.
class gram {
 public:
  using scalar = double;
  using settings = analysis_settings;
  template <class T>
  using state_of = band_matrix;
  static constexpr std::string_view name = "gram", help = "all values, faster, but blind below 1e-8 of the largest";

  explicit gram(analysis_settings chosen = {}) : settings_{std::move(chosen)} {}

  [[nodiscard]] std::size_t bytes(const operator_shape& shape) const;
  [[nodiscard]] double operations(const operator_shape& shape) const;
  [[nodiscard]] std::size_t state_bytes(const operator_shape& shape) const;
  /// Throws `bad_input`, before any work, for a size or memory that will not do, naming an analyser that would work.
  void check(const operator_shape& shape) const;

  /// `state` as in `exact`.
  template <class Op>
  [[nodiscard]] spectrum operator()(Op& op, band_matrix* state = nullptr) const {
    auto erased = detail::erased(op);
    return analyse(erased, state);
  }

 private:
  [[nodiscard]] spectrum analyse(detail::any_matrix& op, band_matrix* state) const;
  bool find_band(detail::any_matrix& op, thread_pool& pool, band_matrix* state, band_matrix& band) const;
  bool sum_up(detail::any_matrix& op, thread_pool& pool, detail::partly_reduced& matrix) const;

  analysis_settings settings_;
};

static_assert(resumable_analyser<gram> && resumable_analyser<gram, block_matrix_operator>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/gram.ipp>
#endif
