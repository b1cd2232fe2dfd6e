// SPDX-License-Identifier: MIT
#pragma once
// Bodies of gram.hpp.

#include <algorithm>
#include <cmath>
#include <optional>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/dense.hpp>
#include <optscope/spectrum/gram.hpp>
#include <optscope/spectrum/symmetric_band.hpp>
#include <vector>

namespace optscope {
namespace detail {
inline constexpr std::size_t gram_panel_rows = 384;  // enough for the products that add it to G
}

OPTSCOPE_INLINE std::size_t gram::bytes(const operator_shape& shape) const {
  const std::size_t n = std::min(shape.rows, shape.cols), most = std::max(shape.rows, shape.cols);
  const std::size_t panel = shape.blocks ? std::max(detail::gram_panel_rows, shape.width) * shape.cols
                                         : 64 * (shape.cols + shape.rows) + 64 * most;
  return 8 * (n * n + std::max(panel, detail::band_scratch(n, 1)));
}

OPTSCOPE_INLINE double gram::operations(const operator_shape& shape) const {
  const auto n = static_cast<double>(std::min(shape.rows, shape.cols));
  const auto high = static_cast<double>(std::max(shape.rows, shape.cols));
  return (high + 4 * n / 3) * n * n;
}

OPTSCOPE_INLINE std::size_t gram::state_bytes(const operator_shape& shape) const {
  const std::size_t n = std::min(shape.rows, shape.cols);
  return 8 * n * (n + 1);
}

OPTSCOPE_INLINE void gram::check(const operator_shape& shape) const {
  detail::require_size(name, shape);
  detail::require_memory(name, shape, bytes(shape), settings_, detail::sampled_instead(shape));
}

OPTSCOPE_INLINE spectrum gram::analyse(detail::any_matrix& op, band_matrix* state) const {
  const bool resumes = state != nullptr && state->size != 0;
  if (!resumes) check(op.shape());
  detail::analysis<> run{name, op.shape(), std::sqrt(op.floor() * 1e-2), bytes(op.shape())};
  openblas::use_best_kernels();
  const openblas::single_threaded guard;  // also for the thousands of small calls that follow the band
  thread_pool pool{settings_.threads};
  band_matrix band;
  if (resumes) {
    detail::require_state(*state, run.result.size, true, "gram");
    band = *state;
  } else {
    if (!find_band(op, pool, state, band)) return run.stop("dense to band");
    if (state != nullptr) *state = band;
  }
  if (!settings_.keep_going("band to values", 0.85)) return run.stop("band to values");
  const auto info = detail::band_eigenvalue_roots(band, pool, run.result.values, [&](double fraction) {
    return settings_.keep_going("band to values", 0.85 + 0.15 * fraction);
  });
  if (!info) return run.stop("band to values");
  if (*info != 0) return run.fail("dsterf", *info);
  return run.finish();
}

OPTSCOPE_INLINE bool gram::find_band(detail::any_matrix& op, thread_pool& pool, band_matrix* state,
                                     band_matrix& band) const {
  const std::size_t n = std::min(op.rows(), op.cols());
  detail::partly_reduced matrix = detail::take_unreduced(state, n * n, true, "gram");
  if (matrix.numbers.empty()) {
    matrix.numbers.resize(n * n);
    if (!sum_up(op, pool, matrix)) return false;
  }
  band = detail::reduce_symmetric_to_band({matrix.numbers.data(), n, n, n}, pool, matrix.reduced, [&](double fraction) {
    return settings_.keep_going("dense to band", 0.25 + 0.6 * fraction);
  });
  band.exponent = matrix.exponent;
  if (band.size == 0) detail::leave_unreduced(std::move(matrix), true, state);
  return band.size != 0;
}

/// The lower triangle of JᵀJ or JJᵀ, and its scale.
OPTSCOPE_INLINE bool gram::sum_up(detail::any_matrix& op, thread_pool& pool, detail::partly_reduced& matrix) const {
  const std::size_t n = std::min(op.rows(), op.cols());
  const detail::column_major g{matrix.numbers.data(), n, n, n};
  std::vector<double> scaled;
  bool scale_known = false;
  int& exponent = matrix.exponent;
  const auto add = [&](std::size_t first, tensor_view<const double, 2> panel) {
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
  };
  const bool assembled = op.for_row_panels(op.rows() < op.cols(), detail::gram_panel_rows, add, [&](double fraction) {
    return settings_.keep_going("summing up JᵀJ", 0.25 * fraction);
  });
  if (!assembled) return false;
  for (std::size_t i = 0; i < n; ++i) {
    if (!std::isfinite(*g.at(i, i))) {
      throw bad_input{"", "gram", "elements whose squares are finite numbers",
                      "elements whose squares overflow; exact would work"};
    }
  }
  return true;
}

}  // namespace optscope
