// SPDX-License-Identifier: MIT
#pragma once
// Bodies of probabilities.hpp.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/backend/elementwise.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/opt/probabilities.hpp>

namespace optscope {

template <class T>
void to_probabilities(std::span<T> row) {
  simd::run([&]() __attribute__((always_inline)) { kernel::softmax(row.data(), row.size()); });
}

template <class T>
double log_sum_exp(std::span<const T> row) {
  constexpr std::size_t block = 1024;  // summed in T
  double sum = 0;
  T largest{};
  simd::run([&]() __attribute__((always_inline)) {
    largest = kernel::largest(row.data(), row.size());
    for (std::size_t first = 0; first < row.size(); first += block) {
      sum += static_cast<double>(kernel::lane_sum(row.data() + first, std::min(block, row.size() - first),
                                                  [&](T logit) { return kernel::exp_nonpositive(logit - largest); }));
    }
  });
  return std::log(sum) + static_cast<double>(largest);
}

#ifdef OPTSCOPE_COMPILED
template void to_probabilities(std::span<float>);
template void to_probabilities(std::span<double>);
template double log_sum_exp(std::span<const float>);
template double log_sum_exp(std::span<const double>);
#endif

}  // namespace optscope
