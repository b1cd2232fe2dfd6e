// SPDX-License-Identifier: MIT
#pragma once
// Bodies of metrics.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/similarity/metrics.hpp>

namespace optscope {

template <class T>
double dot(std::span<const T> x, std::span<const T> y) {
  double lanes[4] = {};
  std::size_t i = 0;
  for (; i + 4 <= x.size(); i += 4) {
    for (std::size_t lane = 0; lane < 4; ++lane) {
      lanes[lane] += static_cast<double>(x[i + lane]) * static_cast<double>(y[i + lane]);
    }
  }
  for (; i < x.size(); ++i) lanes[0] += static_cast<double>(x[i]) * static_cast<double>(y[i]);
  return (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
}

template <class T>
double cosine::operator()(std::span<const T> x, std::span<const T> y) const {
  const double scale = std::sqrt(dot(x, x)) * std::sqrt(dot(y, y));
  return scale == 0 ? 0 : std::clamp(dot(x, y) / scale, -1.0, 1.0);
}

template <class T>
void scaled_cosine::prepare(tensor_view<const T, 2> vectors) {
  longest_squared_ = 0;
  for (std::size_t i = 0; i < vectors.rows(); ++i) {
    const std::span<const T> row = vectors.row(i);
    longest_squared_ = std::max(longest_squared_, dot(row, row));
  }
}

template <class T>
double scaled_cosine::operator()(std::span<const T> x, std::span<const T> y) const {
  return longest_squared_ == 0 ? 0 : std::clamp(dot(x, y) / longest_squared_, -1.0, 1.0);
}

#ifdef OPTSCOPE_COMPILED
template double dot(std::span<const float>, std::span<const float>);
template double dot(std::span<const double>, std::span<const double>);
template double cosine::operator()(std::span<const float>, std::span<const float>) const;
template double cosine::operator()(std::span<const double>, std::span<const double>) const;
template void scaled_cosine::prepare(tensor_view<const float, 2>);
template void scaled_cosine::prepare(tensor_view<const double, 2>);
template double scaled_cosine::operator()(std::span<const float>, std::span<const float>) const;
template double scaled_cosine::operator()(std::span<const double>, std::span<const double>) const;
#endif

}  // namespace optscope
