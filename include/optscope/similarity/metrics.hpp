// SPDX-License-Identifier: MIT
#pragma once
// The metric concept and the metrics of the study.

#include <algorithm>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <optscope/core/tensor.hpp>
#include <span>
#include <type_traits>

namespace optscope {

/// A measure of how alike two activation vectors are: any type with a call operator for two spans of equal length.
///
///     struct dot_product {
///       double operator()(std::span<const float> x, std::span<const float> y) const {
///         return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
///       }
///     };
///
/// A metric that must see the whole set first has a member `void prepare(tensor_view<const T, 2> vectors)`, which is
/// called once before the first pair.
template <class M, class T = float>
concept metric = requires(const M measure, std::span<const T> x) {
  { measure(x, x) } -> std::convertible_to<double>;
};

/// The scalar product, summed in double.
template <class T>
[[nodiscard]] double dot(std::span<const T> x, std::span<const T> y) {
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

/// Cosine of the angle between two vectors, in [-1, 1]; 0 if one of them is zero.
struct cosine {
  static constexpr const char* name = "cosine";

  template <class T>
  [[nodiscard]] double operator()(std::span<const T> x, std::span<const T> y) const {
    const double scale = std::sqrt(dot(x, x)) * std::sqrt(dot(y, y));
    return scale == 0 ? 0 : std::clamp(dot(x, y) / scale, -1.0, 1.0);
  }
};

/// The study's measure: x·y / L², L being the length of the longest vector of the set, so that two short vectors stay
/// short. In [-1, 1]; 1 only for the longest vector with itself.
struct scaled_cosine {
  static constexpr const char* name = "scaled_cosine";

  template <class T>
  void prepare(tensor_view<const T, 2> vectors) {
    longest_squared_ = 0;
    for (std::size_t i = 0; i < vectors.rows(); ++i) {
      const std::span<const T> row = vectors.row(i);
      longest_squared_ = std::max(longest_squared_, dot(row, row));
    }
  }

  template <class T>
  [[nodiscard]] double operator()(std::span<const T> x, std::span<const T> y) const {
    return longest_squared_ == 0 ? 0 : std::clamp(dot(x, y) / longest_squared_, -1.0, 1.0);
  }

 private:
  double longest_squared_ = 0;
};

static_assert(metric<cosine> && metric<scaled_cosine> && metric<cosine, double>);

}  // namespace optscope
