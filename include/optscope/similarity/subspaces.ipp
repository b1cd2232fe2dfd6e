// SPDX-License-Identifier: MIT
#pragma once
// Bodies of subspaces.hpp.

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optscope/core/errors.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/similarity/metrics.hpp>
#include <optscope/similarity/subspaces.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>
#include <xtensor-blas/xlinalg.hpp>

namespace optscope {
namespace detail {

inline void require_equal_counts(const char* name, const set_factors& x, const set_factors& y) {
  if (x.vectors() == y.vectors()) return;
  throw bad_input{"", name, "two sets with equally many vectors",
                  std::to_string(x.vectors()) + " and " + std::to_string(y.vectors())};
}

/// The first `count` columns: (vector, component).
inline xt::xtensor<double, 2> first_columns(const set_factors& of, std::size_t count) {
  xt::xtensor<double, 2> result = xt::empty<double>({of.vectors(), count});
  for (std::size_t i = 0; i < of.vectors(); ++i) std::copy_n(of.left.row(i).begin(), count, result.data() + i * count);
  return result;
}

/// aᵀ b.
inline xt::xtensor<double, 2> product_over_rows(const xt::xtensor<double, 2>& a, const xt::xtensor<double, 2>& b) {
  xt::xtensor<double, 2> result = xt::empty<double>({a.shape()[1], b.shape()[1]});
  xt::blas::gemm(a, b, result, true, false);
  return result;
}

/// Descending.
inline xt::xtensor<double, 1> singular_values(const xt::xtensor<double, 2>& matrix) {
  return std::get<1>(xt::linalg::svd(matrix, false, false));
}

inline double norm_of(const std::vector<double>& sizes) {
  const std::span<const double> all{sizes};
  return std::sqrt(dot(all, all));
}

}  // namespace detail

OPTSCOPE_INLINE double procrustes::operator()(const set_factors& x, const set_factors& y) const {
  detail::require_equal_counts(name, x, y);
  if (x.components() == 0 || y.components() == 0) return 0;
  xt::xtensor<double, 2> core =
      detail::product_over_rows(detail::first_columns(x, x.components()), detail::first_columns(y, y.components()));
  for (std::size_t i = 0; i < x.components(); ++i) {
    for (std::size_t j = 0; j < y.components(); ++j) core(i, j) *= x.sizes[i] * y.sizes[j];
  }
  const double scale = detail::norm_of(x.sizes) * detail::norm_of(y.sizes);
  return std::clamp(xt::sum(detail::singular_values(core))() / scale, 0.0, 1.0);
}

OPTSCOPE_INLINE double svcca::operator()(const set_factors& x, const set_factors& y) const {
  detail::require_equal_counts(name, x, y);
  if (x.components() == 0 || y.components() == 0) return 0;
  const auto core = detail::product_over_rows(detail::first_columns(x, x.components_of(variance)),
                                              detail::first_columns(y, y.components_of(variance)));
  return std::clamp(xt::mean(detail::singular_values(core))(), 0.0, 1.0);
}

OPTSCOPE_INLINE double subspace_angles::operator()(const set_factors& x, const set_factors& y) const {
  detail::require_equal_counts(name, x, y);
  if (x.components() < y.components()) return (*this)(y, x);
  if (y.components() == 0 || components == 0) return std::numbers::pi / 2;
  const auto a = detail::first_columns(x, std::min(components, x.components()));
  const auto b = detail::first_columns(y, std::min(components, y.components()));
  const auto core = detail::product_over_rows(a, b);
  const xt::xtensor<double, 2> rest = b - xt::linalg::dot(a, core);
  const auto cosines = detail::singular_values(core), sines = detail::singular_values(rest);
  const std::size_t count = cosines.size();
  double sum = 0;
  for (std::size_t k = 0; k < count; ++k) {  // small angles by their sines, for precision
    const double cosine = std::min(cosines(k), 1.0), sine = std::min(sines(count - 1 - k), 1.0);
    sum += cosine * cosine >= 0.5 ? std::asin(sine) : std::acos(cosine);
  }
  return sum / static_cast<double>(count);
}

}  // namespace optscope
