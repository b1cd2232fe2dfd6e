// SPDX-License-Identifier: MIT
#pragma once
// Bodies of without.hpp.

#include <algorithm>
#include <optscope/core/errors.hpp>
#include <optscope/similarity/without.hpp>
#include <string>
#include <vector>

namespace optscope::detail {

template <class T>
tensor<T, 2> take_out_position(tensor_view<const T, 2> vectors, std::span<const std::size_t> position) {
  if (position.size() != vectors.rows()) {
    throw bad_input{"", "without_position", std::to_string(vectors.rows()) + " positions, one for each vector",
                    std::to_string(position.size())};
  }
  const std::size_t positions = position.empty() ? 0 : 1 + *std::ranges::max_element(position);
  tensor<double, 2> sums{{positions + 1, vectors.cols()}};  // the last of all
  std::vector<double> counts(positions + 1);
  for (std::size_t i = 0; i < vectors.rows(); ++i) {
    for (const std::size_t group : {position[i], positions}) {
      counts[group] += 1;
      for (std::size_t j = 0; j < vectors.cols(); ++j) sums(group, j) += static_cast<double>(vectors(i, j));
    }
  }
  tensor<T, 2> result{vectors.shape()};
  for (std::size_t i = 0; i < vectors.rows(); ++i) {
    for (std::size_t j = 0; j < vectors.cols(); ++j) {
      const double common = sums(position[i], j) / counts[position[i]] - sums(positions, j) / counts[positions];
      result(i, j) = static_cast<T>(static_cast<double>(vectors(i, j)) - common);
    }
  }
  return result;
}

template <class T>
tensor<T, 2> take_out_mean_direction(tensor_view<const T, 2> vectors) {
  std::vector<double> mean(vectors.cols());
  for (std::size_t i = 0; i < vectors.rows(); ++i) {
    for (std::size_t j = 0; j < vectors.cols(); ++j) mean[j] += static_cast<double>(vectors(i, j));
  }
  double square = 0;
  for (const double each : mean) square += each * each;
  tensor<T, 2> result{vectors.shape()};
  for (std::size_t i = 0; i < vectors.rows(); ++i) {
    double along = 0;
    for (std::size_t j = 0; j < vectors.cols(); ++j) along += static_cast<double>(vectors(i, j)) * mean[j];
    if (square > 0) along /= square;
    for (std::size_t j = 0; j < vectors.cols(); ++j) {
      result(i, j) = static_cast<T>(static_cast<double>(vectors(i, j)) - along * mean[j]);
    }
  }
  return result;
}

#ifdef OPTSCOPE_COMPILED
template tensor<float, 2> take_out_position(tensor_view<const float, 2>, std::span<const std::size_t>);
template tensor<double, 2> take_out_position(tensor_view<const double, 2>, std::span<const std::size_t>);
template tensor<float, 2> take_out_mean_direction(tensor_view<const float, 2>);
template tensor<double, 2> take_out_mean_direction(tensor_view<const double, 2>);
#endif

}  // namespace optscope::detail
