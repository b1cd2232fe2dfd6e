// SPDX-License-Identifier: MIT
#pragma once
// Bodies of host_backend.hpp.

#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/host_backend.hpp>

namespace optscope {
namespace detail {

/// One function for all callers, so that they get the same bits.
template <class T>
[[gnu::noinline]] kernel::layer_norm_moments<T> moments_of(tensor_view<const T, 2> x, std::size_t row) {
  return kernel::moments(x.row(row).data(), x.cols());
}

template <class T>
bool scale_was_edited(tensor_view<const T, 2> x, tensor_view<const T, 2> scale, std::size_t row) {
  return scale(row, 0) != moments_of(x, row).scale;
}

template <class T>
void normalize_row(tensor_view<const T, 2> x, T scale, const T* gamma, const T* beta, tensor_view<T, 2> y,
                   std::size_t row) {
  kernel::layer_norm_moments<T> moments = moments_of(x, row);
  moments.scale = scale;
  kernel::normalize(x.row(row).data(), moments, gamma, beta, x.cols(), y.row(row).data());
}

}  // namespace detail

template <class T>
void host_backend::norm_scale(tensor_view<const T, 2> x, tensor_view<T, 2> scale) const {
  for (std::size_t row = 0; row < x.rows(); ++row) scale(row, 0) = detail::moments_of(x, row).scale;
}

template <class T>
void host_backend::hide_later_keys(tensor_view<T, 3> square, T value) const {
  const std::size_t positions = square.extent(1), keys = square.extent(2);
  for (std::size_t head = 0; head < square.rows(); ++head) {
    for (std::size_t position = 0; position < positions; ++position) {
      T* const row = square.row(head).data() + position * keys;
      std::fill(row + (keys - positions) + position + 1, row + keys, value);
    }
  }
}

template <class T>
void host_backend::sum_heads(tensor_view<const T, 3> shares, tensor_view<const T, 3> before, const T* bias,
                             tensor_view<T, 2> sum) const {
  const std::size_t heads = shares.extent(1), width = shares.extent(2);
  for (std::size_t row = 0; row < shares.rows(); ++row) {
    const std::span<const T> of_row = shares.row(row);  // (head, width)
    if (std::ranges::equal(of_row, before.row(row))) continue;
    const std::span<T> result = sum.row(row);
    for (std::size_t i = 0; i < width; ++i) {
      result[i] = bias == nullptr ? T{0} : bias[i];
      for (std::size_t head = 0; head < heads; ++head) result[i] += of_row[head * width + i];
    }
  }
}

#ifdef OPTSCOPE_COMPILED
template void host_backend::norm_scale(tensor_view<const float, 2>, tensor_view<float, 2>) const;
template void host_backend::norm_scale(tensor_view<const double, 2>, tensor_view<double, 2>) const;
template void host_backend::hide_later_keys(tensor_view<float, 3>, float) const;
template void host_backend::hide_later_keys(tensor_view<double, 3>, double) const;
template void host_backend::sum_heads(tensor_view<const float, 3>, tensor_view<const float, 3>, const float*,
                                      tensor_view<float, 2>) const;
template void host_backend::sum_heads(tensor_view<const double, 3>, tensor_view<const double, 3>, const double*,
                                      tensor_view<double, 2>) const;
namespace detail {
template bool scale_was_edited(tensor_view<const float, 2>, tensor_view<const float, 2>, std::size_t);
template bool scale_was_edited(tensor_view<const double, 2>, tensor_view<const double, 2>, std::size_t);
template void normalize_row(tensor_view<const float, 2>, float, const float*, const float*, tensor_view<float, 2>,
                            std::size_t);
template void normalize_row(tensor_view<const double, 2>, double, const double*, const double*, tensor_view<double, 2>,
                            std::size_t);
}  // namespace detail
#endif

}  // namespace optscope
