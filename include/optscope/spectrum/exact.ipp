// SPDX-License-Identifier: MIT
#pragma once
// Bodies of exact.hpp.

#include <algorithm>
#include <optional>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/band_chase.hpp>
#include <optscope/spectrum/dense.hpp>
#include <optscope/spectrum/exact.hpp>

namespace optscope {

OPTSCOPE_INLINE std::size_t exact::bytes(const operator_shape& shape) const {
  const std::size_t most = std::max(shape.rows, shape.cols);
  const std::size_t panel = shape.blocks ? shape.width * shape.cols : 64 * (shape.cols + shape.rows) + 64 * most;
  return 8 * (shape.rows * shape.cols + panel + detail::band_scratch(most, settings_.thread_count()));
}

OPTSCOPE_INLINE double exact::operations(const operator_shape& shape) const {
  const auto n = static_cast<double>(std::min(shape.rows, shape.cols));
  const auto high = static_cast<double>(std::max(shape.rows, shape.cols));
  return (4 * high - 4 * n / 3) * n * n;
}

OPTSCOPE_INLINE std::size_t exact::state_bytes(const operator_shape& shape) const {
  return 8 * (shape.rows * shape.cols + std::min(shape.rows, shape.cols));
}

OPTSCOPE_INLINE void exact::check(const operator_shape& shape) const {
  detail::require_size(name, shape);
  detail::require_memory(name, shape, bytes(shape), settings_, detail::sampled_instead(shape));
}

OPTSCOPE_INLINE spectrum exact::analyse(detail::any_matrix& op, band_matrix* state) const {
  const bool resumes = state != nullptr && state->size != 0;
  if (!resumes) check(op.shape());
  detail::analysis<> run{name, op.shape(), op.floor(), bytes(op.shape())};
  openblas::use_best_kernels();
  const openblas::single_threaded guard;
  thread_pool pool{settings_.threads};
  band_matrix band;
  if (resumes) {
    detail::require_state(*state, run.result.size, false, "exact");
    band = *state;
  } else {
    if (!find_band(op, pool, state, band)) return run.stop("dense to band");
    if (state != nullptr) *state = band;
  }
  if (!settings_.keep_going("band to values", 0.85)) return run.stop("band to values");
  const auto info = detail::band_singular_values(band, pool, run.result.values, [&](double fraction) {
    return settings_.keep_going("band to values", 0.85 + 0.15 * fraction);
  });
  if (!info) return run.stop("band to values");
  if (*info != 0) return run.fail("dbdsqr", *info);
  return run.finish();
}

OPTSCOPE_INLINE bool exact::find_band(detail::any_matrix& op, thread_pool& pool, band_matrix* state,
                                      band_matrix& band) const {
  // Row-major J is column-major Jᵀ, which must not be wider than high.
  const bool transposed = op.rows() > op.cols();
  const std::size_t high = std::max(op.rows(), op.cols()), wide = std::min(op.rows(), op.cols());
  detail::partly_reduced matrix = detail::take_unreduced(state, high * wide, false, "exact");
  if (matrix.numbers.empty()) {
    matrix.numbers.resize(high * wide);
    const bool assembled = op.for_row_panels(
        transposed, 1,
        [&](std::size_t first, tensor_view<const double, 2> panel) {
          for (std::size_t i = 0; i < panel.rows(); ++i)
            std::ranges::copy(panel.row(i), &matrix.numbers[(first + i) * high]);
        },
        [&](double fraction) { return settings_.keep_going("writing out the matrix", 0.05 * fraction); });
    if (!assembled) return false;
    matrix.exponent = detail::scale_safely(matrix.numbers, {matrix.numbers.data(), {wide, high}}, 0);
  }
  band = detail::reduce_to_band({matrix.numbers.data(), high, wide, high}, pool, matrix.reduced, [&](double fraction) {
    return settings_.keep_going("dense to band", 0.05 + 0.8 * fraction);
  });
  band.exponent = matrix.exponent;
  if (band.size == 0) detail::leave_unreduced(std::move(matrix), false, state);
  return band.size != 0;
}

}  // namespace optscope
