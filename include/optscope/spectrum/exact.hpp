// SPDX-License-Identifier: MIT
#pragma once
// All singular values to 1e-14 of the largest: dense to band to bidiagonal to values.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/spectrum/analyser.hpp>
#include <optscope/spectrum/band_matrix.hpp>
#include <optscope/spectrum/erased_operator.hpp>
#include <optscope/spectrum/per_token.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace optscope {

/// All singular values, accurate to 1e-14 of the largest (2e-14 within clusters of hundreds that agree to 1e-11).
///
///     #include <iostream>
///     #include <optscope/spectrum/exact.hpp>
///
///     int main() {
///       optscope::tensor<double, 2> numbers{{3, 3}};
///       numbers(0, 1) = 2;
///       optscope::matrix_operator<double> op{numbers};
///       for (double value : optscope::exact{}(op).values) std::cout << value << '\n';  // 2 0 0
///     }
///
/// Route: blocked QR and LQ to a band of width 64, 8/3 n^3 operations for a square; bulges chased along it to a
/// bidiagonal, 512 n^2; `dbdsqr` without vectors (dqds, relative accuracy). Memory: one dense matrix (8 bytes * rows *
/// cols). The zeros of a causal operator save nothing here: they fill up at the first panel, which meets every row
/// below. Same bits for any number of threads. Throws `bad_input` if memory does not suffice or an element is not
/// finite.
class exact {
 public:
  using scalar = double;
  using settings = analysis_settings;
  template <class T>
  using state_of = band_matrix;
  static constexpr std::string_view name = "exact", help = "all values, to 1e-14 of the largest";

  explicit exact(analysis_settings chosen = {}) : settings_{std::move(chosen)} {}

  [[nodiscard]] std::size_t bytes(const operator_shape& shape) const;
  [[nodiscard]] double operations(const operator_shape& shape) const;
  [[nodiscard]] std::size_t state_bytes(const operator_shape& shape) const;
  /// Throws `bad_input`, before any work, for a size or memory that will not do, naming an analyser that would work.
  void check(const operator_shape& shape) const;

  /// Selects `per_token` for an operator that treats each token by itself: the same values at less cost.
  template <class Use>
  void select(const operator_shape& shape, Use&& use) const {
    if (shape.diagonal) {
      use(per_token{settings_}, std::string{"each token is treated by itself"});
    } else {
      use(*this, std::string{});
    }
  }

  /// With a `state` from an earlier call it resumes: from the band if there is one, otherwise from the matrix as far as
  /// it was reduced when that call was stopped. Only the writing out of the matrix is done again.
  template <class Op>
  [[nodiscard]] spectrum operator()(Op& op, band_matrix* state = nullptr) const {
    auto erased = detail::erased(op);
    return analyse(erased, state);
  }

 private:
  [[nodiscard]] spectrum analyse(detail::any_matrix& op, band_matrix* state) const;
  bool find_band(detail::any_matrix& op, thread_pool& pool, band_matrix* state, band_matrix& band) const;

  analysis_settings settings_;
};

static_assert(resumable_analyser<exact> && resumable_analyser<exact, block_matrix_operator>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/exact.ipp>
#endif
