// SPDX-License-Identifier: MIT
#pragma once
// All singular values through JᵀJ: fast, and blind below 1e-8 of the largest.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/dense.hpp>
#include <optscope/spectrum/exact.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <optscope/spectrum/symmetric_band.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// All singular values as roots of the eigenvalues of G = JᵀJ (or JJᵀ, the smaller of the two).
///
/// G is summed up from panels of rows as the operator writes them, so J itself is never held; the zeros of a causal
/// operator are skipped (n^3/3 operations instead of n^3). Then a band of width 64, 4/3 n^3, whose bulges are chased to
/// a tridiagonal, 384 n^2, and `dsterf`. Memory: G, 8 bytes * n^2. An error of eps in an eigenvalue is one of sqrt(eps)
/// in a singular value near zero: the result's floor says how large. Throws as `exact` does.
class gram {
 public:
  explicit gram(analysis_settings settings = {}) : settings_{std::move(settings)} {}

  template <linear_operator Op>
  [[nodiscard]] std::size_t bytes(const Op& op) const {
    const std::size_t n = std::min<std::size_t>(op.rows(), op.cols());
    const std::size_t most = std::max<std::size_t>(op.rows(), op.cols());
    std::size_t panel = 64 * (op.cols() + op.rows()) + 64 * most;
    if constexpr (block_operator<Op>) panel = std::max(panel_rows, op.width()) * op.cols();
    return 8 * (n * n + std::max(panel, detail::band_scratch(n, 1)));
  }

  /// Throws `bad_input`, before any work, for a size or memory that cannot do, naming the analyser that would.
  template <linear_operator Op>
  void check(const Op& op) const {
    detail::require_size("gram", op.rows(), op.cols());
    detail::require_memory("gram", op.rows(), op.cols(), bytes(op), settings_,
                           detail::sampled_instead(op.rows(), op.cols()));
  }

  /// `state` as in `exact`.
  template <linear_operator Op>
  [[nodiscard]] spectrum operator()(Op& op, band_matrix* state = nullptr) const {
    const std::size_t rows = op.rows(), cols = op.cols();
    const bool goes_on = state != nullptr && state->size != 0;
    if (!goes_on) check(op);
    detail::analysis<> run{"gram", rows, cols, std::sqrt(detail::operator_floor<Op>() * 1e-2), bytes(op)};
    openblas::use_best_kernels();
    const openblas::single_threaded guard;  // also for the thousands of small calls behind the band
    thread_pool pool{settings_.threads};
    band_matrix band;
    if (goes_on) {
      detail::require_state(*state, run.result.size, true, "gram");
      band = *state;
    } else {
      if (!find_band(op, pool, state, band)) return run.stop("dense to band");
      if (state != nullptr) *state = band;
    }
    if (!settings_.go_on("band to values", 0.85)) return run.stop("band to values");
    const auto info = values_of(band, pool, run.result.values);
    if (!info) return run.stop("band to values");
    if (*info != 0) return run.fail("dsterf", *info);
    return run.finish();
  }

 private:
  static constexpr std::size_t panel_rows = 384;  // enough for the products that add it to G

  template <linear_operator Op>
  bool find_band(Op& op, thread_pool& pool, band_matrix* state, band_matrix& band) const {
    const std::size_t n = std::min<std::size_t>(op.rows(), op.cols());
    detail::partly_reduced matrix = detail::take_unreduced(state, n * n, true, "gram");
    if (matrix.numbers.empty()) {
      matrix.numbers.resize(n * n);
      if (!sum_up(op, pool, matrix)) return false;
    }
    band = detail::reduce_symmetric_to_band(
        {matrix.numbers.data(), n, n, n}, pool, matrix.reduced,
        [&](double fraction) { return settings_.go_on("dense to band", 0.25 + 0.6 * fraction); });
    band.exponent = matrix.exponent;
    if (band.size == 0) detail::leave_unreduced(std::move(matrix), true, state);
    return band.size != 0;
  }

  /// The lower triangle of JᵀJ or JJᵀ, and its scale.
  template <linear_operator Op>
  bool sum_up(Op& op, thread_pool& pool, detail::partly_reduced& matrix) const {
    const std::size_t n = std::min<std::size_t>(op.rows(), op.cols());
    const detail::column_major g{matrix.numbers.data(), n, n, n};
    std::vector<double> scaled;
    bool scale_known = false;
    int& exponent = matrix.exponent;
    const bool assembled = detail::for_row_panels(
        op, op.rows() < op.cols(), panel_rows,
        [&](std::size_t first, tensor_view<const double, 2> panel) {
          const double largest = detail::largest_element(panel, first);
          if (!scale_known && largest > 0) {
            exponent = detail::safe_exponent(largest);
            scale_known = true;
          }
          const double* data = panel.data();
          if (exponent != 0) {
            scaled.resize(panel.size());
            std::transform(data, data + panel.size(), scaled.data(),
                           [exponent](double value) { return std::ldexp(value, -exponent); });
            data = scaled.data();
          }
          // Row-major (rows, cols) is column-major X = panelᵀ, and G += X Xᵀ.
          detail::add_product(g, {const_cast<double*>(data), panel.cols(), panel.rows(), panel.cols()}, pool);
        },
        [&](double fraction) { return settings_.go_on("summing up JᵀJ", 0.25 * fraction); });
    if (!assembled) return false;
    for (std::size_t i = 0; i < n; ++i) {
      if (!std::isfinite(*g.at(i, i))) {
        throw bad_input{"", "gram", "elements whose squares are finite numbers", "larger ones; exact would work"};
      }
    }
    return true;
  }

  /// LAPACK's info; nothing if it was stopped.
  [[nodiscard]] std::optional<int> values_of(const band_matrix& band, thread_pool& pool,
                                             std::vector<double>& values) const {
    const auto go_on = [&](double fraction) { return settings_.go_on("band to values", 0.85 + 0.15 * fraction); };
    std::vector<double> d(band.size), e(band.size);
    if (!detail::chase_to_tridiagonal(band, pool, d.data(), e.data(),
                                      [&](double fraction) { return go_on(0.8 * fraction); })) {
      return std::nullopt;
    }
    auto routine = [d = std::move(d), e = std::move(e)]() mutable {
      const int info = lapack::sterf(static_cast<int>(d.size()), d.data(), e.data());
      return std::pair{info, std::move(d)};
    };
    auto found = lapack::unless_stopped(std::move(routine), [&] { return go_on(0.8); });
    if (!found) return std::nullopt;
    values = std::move(found->second);
    for (double& value : values) value = std::ldexp(std::sqrt(std::max(value, 0.0)), band.exponent);
    std::sort(values.begin(), values.end(), std::greater<>{});
    return found->first;
  }

  analysis_settings settings_;
};

static_assert(spectrum_analyser<gram, matrix_operator<double>> && spectrum_analyser<gram, block_matrix_operator>,
              "gram is a spectrum analyser");

}  // namespace optscope
