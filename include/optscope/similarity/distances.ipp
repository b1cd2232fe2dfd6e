// SPDX-License-Identifier: MIT
#pragma once
// Bodies of distances.hpp.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optscope/similarity/distances.hpp>
#include <vector>

namespace optscope {

template <class T>
double euclidean::operator()(std::span<const T> x, std::span<const T> y) const {
  double lanes[4] = {};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double difference = static_cast<double>(x[i]) - static_cast<double>(y[i]);
    lanes[i % 4] += difference * difference;
  }
  return std::sqrt((lanes[0] + lanes[1]) + (lanes[2] + lanes[3]));
}

template <class T>
void rbf::prepare(tensor_view<const T, 2> vectors) {
  std::vector<double> distances;
  for (std::size_t i = 0; i < vectors.rows(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      distances.push_back(euclidean{}(std::span<const T>{vectors.row(i)}, std::span<const T>{vectors.row(j)}));
    }
  }
  scale_ = 0;
  if (distances.empty()) return;
  const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(distances.size() / 2);
  std::nth_element(distances.begin(), middle, distances.end());
  scale_ = *middle;
  if (distances.size() % 2 == 0) scale_ = (scale_ + *std::max_element(distances.begin(), middle)) / 2;
  if (scale_ > 0) return;
  scale_ = std::accumulate(distances.begin(), distances.end(), 0.0) / static_cast<double>(distances.size());
}

template <class T>
double rbf::operator()(std::span<const T> x, std::span<const T> y) const {
  if (scale_ == 0) return 1;
  const double distance = euclidean{}(x, y) / scale_;
  return std::exp(-distance * distance / 2);
}

#ifdef OPTSCOPE_COMPILED
template double euclidean::operator()(std::span<const float>, std::span<const float>) const;
template double euclidean::operator()(std::span<const double>, std::span<const double>) const;
template void rbf::prepare(tensor_view<const float, 2>);
template void rbf::prepare(tensor_view<const double, 2>);
template double rbf::operator()(std::span<const float>, std::span<const float>) const;
template double rbf::operator()(std::span<const double>, std::span<const double>) const;
#endif

}  // namespace optscope
