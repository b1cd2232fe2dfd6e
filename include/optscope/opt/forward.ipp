// SPDX-License-Identifier: MIT
#pragma once
// Bodies of forward.hpp.

#include <optscope/backend/elementwise.hpp>
#include <optscope/opt/forward.hpp>

namespace optscope::detail {

/// One function for all callers, so that they get the same bits.
template <class T>
[[gnu::noinline]] kernel::layer_norm_moments<T> moments_of(tensor_view<const T, 2> x, std::size_t row) {
  return kernel::moments(x.row(row).data(), x.cols());
}

template <class T>
void layer_norm_scales(tensor_view<const T, 2> x, tensor_view<T, 2> scale) {
  for (std::size_t row = 0; row < x.rows(); ++row) scale(row, 0) = moments_of(x, row).scale;
}

template <class T>
bool scale_was_edited(tensor_view<const T, 2> x, tensor_view<const T, 2> scale, std::size_t row) {
  return scale(row, 0) != moments_of(x, row).scale;
}

template <class T>
void normalize_row(tensor_view<const T, 2> x, T scale, const norm_weights<T>& weights, tensor_view<T, 2> y,
                   std::size_t row) {
  kernel::layer_norm_moments<T> moments = moments_of(x, row);
  moments.scale = scale;
  kernel::normalize(x.row(row).data(), moments, weights.gamma, weights.beta, x.cols(), y.row(row).data());
}

#ifdef OPTSCOPE_COMPILED
template void layer_norm_scales(tensor_view<const float, 2>, tensor_view<float, 2>);
template void layer_norm_scales(tensor_view<const double, 2>, tensor_view<double, 2>);
template bool scale_was_edited(tensor_view<const float, 2>, tensor_view<const float, 2>, std::size_t);
template bool scale_was_edited(tensor_view<const double, 2>, tensor_view<const double, 2>, std::size_t);
template void normalize_row(tensor_view<const float, 2>, float, const norm_weights<float>&, tensor_view<float, 2>,
                            std::size_t);
template void normalize_row(tensor_view<const double, 2>, double, const norm_weights<double>&, tensor_view<double, 2>,
                            std::size_t);
#endif

}  // namespace optscope::detail
