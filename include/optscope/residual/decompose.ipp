// SPDX-License-Identifier: MIT
#pragma once
// Bodies of decompose.hpp.

#include <cmath>
#include <optscope/residual/decompose.hpp>

namespace optscope {

template <class T>
double stream_decomposition<T>::error() const {
  double largest = 0, deviation = 0;
  const auto raise = [](double& most, double value) {
    if (value > most || std::isnan(value)) most = value;
  };
  for (std::size_t vector = 0; vector < stream.rows(); ++vector) {
    for (std::size_t i = 0; i < stream.extent(1); ++i) {
      double sum = 0;
      for (std::size_t component = 0; component < components.size(); ++component) sum += parts(component, vector, i);
      raise(largest, std::abs(double{stream(vector, i)}));
      raise(deviation, std::abs(sum - stream(vector, i)));
    }
  }
  return deviation == 0 ? 0 : deviation / largest;
}

#ifdef OPTSCOPE_COMPILED
template struct stream_decomposition<float>;
template struct stream_decomposition<double>;
#endif

}  // namespace optscope
