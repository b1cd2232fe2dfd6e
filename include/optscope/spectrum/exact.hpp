// SPDX-License-Identifier: MIT
#pragma once
// All singular values to 1e-14 of the largest: dense to band to bidiagonal to values.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optional>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/band_chase.hpp>
#include <optscope/spectrum/band_matrix.hpp>
#include <optscope/spectrum/dense.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <optscope/spectrum/matrix_operator.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {

/// Singular values of an upper band matrix, descending, into `values`; LAPACK's info. Nothing if `go_on(fraction)` said
/// no.
template <class GoOn>
[[nodiscard]] std::optional<int> band_singular_values(const band_matrix& band, thread_pool& pool,
                                                      std::vector<double>& values, GoOn&& go_on) {
  std::vector<double> d(band.size), e(band.size), work(4 * band.size);
  if (!chase_to_bidiagonal(band, pool, d.data(), e.data(), [&](double fraction) { return go_on(0.8 * fraction); }))
    return std::nullopt;
  auto routine = [d = std::move(d), e = std::move(e), work = std::move(work)]() mutable {
    const int info = lapack::bdsqr(static_cast<int>(d.size()), d.data(), e.data(), nullptr, 0, work.data());
    return std::pair{info, std::move(d)};
  };
  auto found = lapack::unless_stopped(std::move(routine), [&] { return go_on(0.8); });
  if (!found) return std::nullopt;
  values = std::move(found->second);
  for (double& value : values) value = std::ldexp(value, band.exponent);
  return found->first;
}

/// What a state given to an analyser must be to continue from it.
inline void require_state(const band_matrix& band, std::size_t size, bool symmetric, const char* method) {
  const bool fits =
      band.size == size && band.symmetric == symmetric && band.width < std::max<std::size_t>(size, 1) &&
      band.diagonals.size() == size * (band.width + 1) &&
      std::all_of(band.diagonals.begin(), band.diagonals.end(), [](double x) { return std::isfinite(x); });
  if (fits) return;
  throw bad_input{"", std::string{method} + ", saved band matrix",
                  "a whole " + std::string{symmetric ? "symmetric" : "upper"} + " band of " + std::to_string(size),
                  "a" + std::string{band.symmetric ? " symmetric" : "n upper"} + " one of " +
                      std::to_string(band.size) + " with " + std::to_string(band.diagonals.size()) + " numbers"};
}

/// A dense matrix on its way to band form.
struct partly_reduced {
  std::vector<double> numbers;
  std::size_t reduced = 0;
  int exponent = 0;
};

/// What a stopped analysis left of its matrix; without numbers if there is nothing.
[[nodiscard]] inline partly_reduced take_unreduced(band_matrix* state, std::size_t numbers, bool symmetric,
                                                   const char* method) {
  if (state == nullptr || state->unreduced.empty()) return {};
  if (state->unreduced.size() != numbers || state->symmetric != symmetric || state->reduced % band_width != 0) {
    throw bad_input{"", std::string{method} + ", saved matrix", std::to_string(numbers) + " numbers",
                    std::to_string(state->unreduced.size()) + ", or of another method"};
  }
  return {std::move(state->unreduced), state->reduced, state->exponent};
}

inline void leave_unreduced(partly_reduced matrix, bool symmetric, band_matrix* state) {
  if (state == nullptr) return;
  state->unreduced = std::move(matrix.numbers);
  state->reduced = matrix.reduced;
  state->exponent = matrix.exponent;
  state->symmetric = symmetric;
}

}  // namespace detail

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
/// cols). A causal operator fills up at the first panel, since every row below meets it: its zeros save nothing here.
/// Same bits for any number of threads. Throws `bad_input` if memory does not suffice or an element is not finite.
class exact {
 public:
  explicit exact(analysis_settings settings = {}) : settings_{std::move(settings)} {}

  template <linear_operator Op>
  [[nodiscard]] std::size_t bytes(const Op& op) const {
    const std::size_t threads = settings_.threads != 0 ? settings_.threads : std::thread::hardware_concurrency();
    const std::size_t most = std::max<std::size_t>(op.rows(), op.cols());
    std::size_t panel = 64 * (op.cols() + op.rows()) + 64 * most;
    if constexpr (block_operator<Op>) panel = op.width() * op.cols();
    return 8 * (op.rows() * op.cols() + panel + detail::band_scratch(most, threads));
  }

  /// Throws `bad_input`, before any work, for a size or memory that cannot do, naming the analyser that would.
  template <linear_operator Op>
  void check(const Op& op) const {
    detail::require_size("exact", op.rows(), op.cols());
    detail::require_memory("exact", op.rows(), op.cols(), bytes(op), settings_,
                           detail::sampled_instead(op.rows(), op.cols()));
  }

  /// With a `state` from a former call goes on from there: the band as soon as it was found, or, where that call was
  /// stopped on the way to it, the matrix as far as it was reduced. The bits are those of one run. What is lost is the
  /// writing out of the matrix, if it was stopped in that.
  template <linear_operator Op>
  [[nodiscard]] spectrum operator()(Op& op, band_matrix* state = nullptr) const {
    const std::size_t rows = op.rows(), cols = op.cols();
    const bool goes_on = state != nullptr && state->size != 0;
    if (!goes_on) check(op);
    detail::analysis<> run{"exact", rows, cols, detail::operator_floor<Op>(), bytes(op)};
    openblas::use_best_kernels();
    const openblas::single_threaded guard;
    thread_pool pool{settings_.threads};
    band_matrix band;
    if (goes_on) {
      detail::require_state(*state, run.result.size, false, "exact");
      band = *state;
    } else {
      if (!find_band(op, pool, state, band)) return run.stop("dense to band");
      if (state != nullptr) *state = band;
    }
    if (!settings_.go_on("band to values", 0.85)) return run.stop("band to values");
    const auto info = detail::band_singular_values(band, pool, run.result.values, [&](double fraction) {
      return settings_.go_on("band to values", 0.85 + 0.15 * fraction);
    });
    if (!info) return run.stop("band to values");
    if (*info != 0) return run.fail("dbdsqr", *info);
    return run.finish();
  }

 private:
  template <linear_operator Op>
  bool find_band(Op& op, thread_pool& pool, band_matrix* state, band_matrix& band) const {
    // Row-major J is column-major Jᵀ, which must not be wider than high.
    const bool transposed = op.rows() > op.cols();
    const std::size_t high = std::max<std::size_t>(op.rows(), op.cols()),
                      wide = std::min<std::size_t>(op.rows(), op.cols());
    detail::partly_reduced matrix = detail::take_unreduced(state, high * wide, false, "exact");
    if (matrix.numbers.empty()) {
      matrix.numbers.resize(high * wide);
      const bool assembled = detail::for_row_panels(
          op, transposed, 1,
          [&](std::size_t first, tensor_view<const double, 2> panel) {
            for (std::size_t i = 0; i < panel.rows(); ++i)
              std::ranges::copy(panel.row(i), &matrix.numbers[(first + i) * high]);
          },
          [&](double fraction) { return settings_.go_on("writing out the matrix", 0.05 * fraction); });
      if (!assembled) return false;
      matrix.exponent = detail::scale_safely(matrix.numbers, {matrix.numbers.data(), {wide, high}}, 0);
    }
    band = detail::reduce_to_band(
        {matrix.numbers.data(), high, wide, high}, pool, matrix.reduced,
        [&](double fraction) { return settings_.go_on("dense to band", 0.05 + 0.8 * fraction); });
    band.exponent = matrix.exponent;
    if (band.size == 0) detail::leave_unreduced(std::move(matrix), false, state);
    return band.size != 0;
  }

  analysis_settings settings_;
};

static_assert(spectrum_analyser<exact, matrix_operator<double>> && spectrum_analyser<exact, block_matrix_operator>,
              "exact is a spectrum analyser");

}  // namespace optscope
