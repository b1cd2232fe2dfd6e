// SPDX-License-Identifier: MIT
#pragma once
// Bodies of cosines.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/errors.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/similarity/cosines.hpp>
#include <optscope/similarity/factors.hpp>
#include <string>
#include <utility>
#include <xtensor-blas/xlinalg.hpp>

namespace optscope {

template <class T>
tensor<double, 2> centred_cosine::prepare(tensor_view<const T, 2> vectors) const {
  return detail::centred(vectors);
}

template <class T>
tensor<double, 2> pca_cosine::prepare(tensor_view<const T, 2> vectors) const {
  const set_factors all = factors_of(vectors);
  tensor<double, 2> scores{{all.vectors(), all.components_of(variance)}};
  for (std::size_t i = 0; i < scores.rows(); ++i) {
    for (std::size_t k = 0; k < scores.extent(1); ++k) scores(i, k) = all.left(i, k) * all.sizes[k];
  }
  return scores;
}

OPTSCOPE_INLINE double shrinkage_by_oas(double trace, double squares, std::size_t width, std::size_t count) {
  const auto p = static_cast<double>(width), n = static_cast<double>(count);
  const double mean = trace / p, above = (n + 1) * (squares - p * mean * mean) / (p * p);
  return above <= 0 ? 1 : std::min(1.0, (squares / (p * p) + mean * mean) / above);
}

OPTSCOPE_INLINE whitened_cosine::whitened_cosine(std::vector<double> mean, tensor<double, 2> covariance,
                                                 std::size_t count)
    : mean_{std::move(mean)} {
  const std::size_t width = mean_.size();
  if (covariance.rows() != width || covariance.extent(1) != width) {
    throw bad_input{"", name, "a covariance as wide as the mean, " + std::to_string(width),
                    std::to_string(covariance.rows()) + " x " + std::to_string(covariance.extent(1))};
  }
  const auto [values, vectors] = xt::linalg::eigh(adapt(covariance));
  const double trace = xt::sum(values)(), squares = xt::sum(values * values)();
  const double shrinkage = shrinkage_by_oas(trace, squares, width, count);
  directions_ = tensor<double, 2>{{width, trace > 0 ? width : 0}};
  for (std::size_t k = 0; k < directions_.extent(1); ++k) {
    const double value = (1 - shrinkage) * std::max(values(k), 0.0) + shrinkage * trace / static_cast<double>(width);
    for (std::size_t j = 0; j < width; ++j) directions_(j, k) = vectors(j, k) / std::sqrt(value);
  }
}

template <class T>
tensor<double, 2> whitened_cosine::prepare(tensor_view<const T, 2> vectors) const {
  const std::size_t n = vectors.rows(), width = vectors.cols();
  if (!mean_.empty()) {
    if (width != mean_.size()) {
      throw bad_input{"", name, "vectors as wide as the covariance, " + std::to_string(mean_.size()),
                      std::to_string(width)};
    }
    xt::xtensor<double, 2> difference = xt::empty<double>({n, width});
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < width; ++j) difference(i, j) = static_cast<double>(vectors(i, j)) - mean_[j];
    }
    tensor<double, 2> result{{n, directions_.extent(1)}};
    if (result.size() != 0) adapt(result) = xt::linalg::dot(difference, adapt(std::as_const(directions_)));
    return result;
  }
  const set_factors all = factors_of(vectors);
  tensor<double, 2> result{{n, all.components()}};
  double trace = 0, squares = 0;
  for (const double size : all.sizes) {
    const double value = size * size / static_cast<double>(n);
    trace += value;
    squares += value * value;
  }
  const double shrinkage = shrinkage_by_oas(trace, squares, width, n);
  for (std::size_t k = 0; k < all.components(); ++k) {
    const double value = all.sizes[k] * all.sizes[k] / static_cast<double>(n);
    const double scale =
        all.sizes[k] / std::sqrt((1 - shrinkage) * value + shrinkage * trace / static_cast<double>(width));
    for (std::size_t i = 0; i < n; ++i) result(i, k) = all.left(i, k) * scale;
  }
  return result;
}

#ifdef OPTSCOPE_COMPILED
template tensor<double, 2> centred_cosine::prepare(tensor_view<const float, 2>) const;
template tensor<double, 2> centred_cosine::prepare(tensor_view<const double, 2>) const;
template tensor<double, 2> pca_cosine::prepare(tensor_view<const float, 2>) const;
template tensor<double, 2> pca_cosine::prepare(tensor_view<const double, 2>) const;
template tensor<double, 2> whitened_cosine::prepare(tensor_view<const float, 2>) const;
template tensor<double, 2> whitened_cosine::prepare(tensor_view<const double, 2>) const;
#endif

}  // namespace optscope
