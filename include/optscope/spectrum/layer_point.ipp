// SPDX-License-Identifier: MIT
#pragma once
// Bodies of layer_point.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/slope.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/spectrum/layer_point.hpp>

namespace optscope {
namespace detail {

OPTSCOPE_INLINE void require_finite(const std::string& text, std::string_view site, std::string_view axis,
                                    const place& at, tensor_view<const double, 2> rows) {
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    for (const double value : rows.row(row)) {
      if (std::isfinite(value)) continue;
      const std::string where = std::string{site} + (axis == "head" ? " of head " : " at position ");
      throw bad_input{"", text + ", layer " + std::to_string(at.layer), "finite activations",
                      (std::isnan(value) ? "NaN in " : "infinity in ") + where + std::to_string(row)};
    }
  }
}

OPTSCOPE_INLINE void require_layers(const checkpoint& files, const architecture& shape, std::size_t first,
                                    std::size_t count) {
  if (first + count > shape.layers || count == 0) {
    const std::string found = count == 0 ? "none" : std::to_string(first) + " to " + std::to_string(first + count - 1);
    throw bad_input{"", "layers", "layers of 0 to " + std::to_string(shape.layers - 1), found};
  }
  require_even_layers(files, "for Jacobians");
}

}  // namespace detail

template <class T>
void point_observer<T>::take_input(layer_point<T>& point, rows_view rows, bool second) {
  point.tokens = rows.rows();
  if (point.shape.pre_layer_norm) {
    (second ? point.ln2 : point.ln1) = {rows, second ? point.weights.ln2.gamma : point.weights.ln1.gamma};
    return;
  }
  sum_ = tensor<double, 2>{rows.shape()};
  for (std::size_t t = 0; t < rows.rows(); ++t) std::ranges::copy(rows.row(t), sum_.row(t).data());
}

template <class T>
void point_observer<T>::take_output(layer_point<T>& point, rows_view rows, bool second) {
  if (point.shape.pre_layer_norm) return;
  for (std::size_t t = 0; t < rows.rows(); ++t) kernel::add(rows.row(t).data(), rows.cols(), sum_.row(t).data());
  const T* gamma = second ? point.weights.ln2.gamma : point.weights.ln1.gamma;
  (second ? point.ln2 : point.ln1) = norm_jacobian<T>{std::as_const(sum_), gamma};
}

template <class T>
void point_observer<T>::take_slope(layer_point<T>& point, rows_view rows) {
  point.slope = tensor<T, 2>{rows.shape()};
  for (std::size_t t = 0; t < rows.rows(); ++t) {
    std::ranges::transform(rows.row(t), point.slope.row(t).data(),
                           [&](double x) { return static_cast<T>(slope_of(point.shape.nonlinearity, x)); });
  }
}

template <class T>
void point_observer<T>::take_heads(rows_view rows, tensor<T, 2>& to) {
  to = tensor<T, 2>{rows.shape()};
  round(rows, to.data());
}

template <class T>
void point_observer<T>::round(rows_view rows, T* to) {
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    to = std::ranges::transform(rows.row(row), to, [](double x) { return static_cast<T>(x); }).out;
  }
}

#ifdef OPTSCOPE_COMPILED
template class point_observer<float>;
template class point_observer<double>;
#endif

}  // namespace optscope
