// SPDX-License-Identifier: MIT
#pragma once
// What editors do to a vector: set, add, scale, take away a direction, or put it at a point along some.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/core/errors.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/where.hpp>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// The numbers that an operation takes: one for all units, one a unit, or one a head and unit, head by head; the same
/// in all layers, or a list for each.
class unit_values {
 public:
  unit_values(double one) : lists_{{one}} {}
  unit_values(std::vector<double> values) : lists_{std::move(values)} {}
  unit_values(std::span<const float> values) : lists_{{values.begin(), values.end()}} {}
  /// [layer]
  unit_values(std::vector<std::vector<double>> by_layer) : lists_{std::move(by_layer)}, by_layer_{true} {}

  /// Calls `change(x[i], value)` for each unit of a vector. Throws `bad_input` if there are not so many values.
  template <class T, class Change>
  void apply(std::span<T> x, const vector_place& at, std::string_view name, Change&& change) const {
    const std::size_t list = by_layer_ ? at.layer : 0;
    if (list >= lists_.size()) {
      throw bad_input{"", std::string{name}, "values for layer " + std::to_string(list),
                      "those of " + std::to_string(lists_.size()) + " layers"};
    }
    const std::vector<double>& values = lists_[list];
    const std::size_t first = values.size() > x.size() ? at.head * x.size() : 0;
    if (values.size() != 1 && (values.size() % x.size() != 0 || first + x.size() > values.size())) {
      throw bad_input{"", std::string{name}, "1 value, or as many as units, " + std::to_string(x.size()),
                      std::to_string(values.size())};
    }
    for (std::size_t i = 0; i < x.size(); ++i) change(x[i], values.size() == 1 ? values[0] : values[first + i]);
  }

 private:
  std::vector<std::vector<double>> lists_;
  bool by_layer_ = false;
};

/// x = 0.
struct zero {
  static constexpr std::string_view name = "zero";
  template <class T>
  void operator()(std::span<T> x, const vector_place&) const {
    std::ranges::fill(x, T{0});
  }
};

/// x = values.
struct set {
  unit_values values;
  static constexpr std::string_view name = "set";
  template <class T>
  void operator()(std::span<T> x, const vector_place& at) const {
    values.apply(x, at, name, [](T& unit, double value) { unit = static_cast<T>(value); });
  }
};

/// x += strength * values: steers along a direction.
struct add {
  unit_values values;
  double strength = 1;
  static constexpr std::string_view name = "add";
  template <class T>
  void operator()(std::span<T> x, const vector_place& at) const {
    values.apply(x, at, name, [&](T& unit, double value) {
      const T change = static_cast<T>(strength * value);
      if (change != 0) unit += change;  // and -0 stays what it is
    });
  }
};

/// x *= values.
struct scale {
  unit_values values;
  static constexpr std::string_view name = "scale";
  template <class T>
  void operator()(std::span<T> x, const vector_place& at) const {
    values.apply(x, at, name, [](T& unit, double value) { unit *= static_cast<T>(value); });
  }
};

/// Takes away what x has along some directions: x -= Q Qᵀ x, Q an orthonormal basis of them. In double.
class project_out {
 public:
  static constexpr std::string_view name = "project_out";

  explicit project_out(const std::vector<double>& direction)
      : project_out{std::vector<std::vector<double>>{direction}} {}
  /// Throws `bad_input` if they differ in length or depend on each other linearly.
  explicit project_out(const std::vector<std::vector<double>>& directions) {
    for (const std::vector<double>& each : directions) {
      std::vector<double> q = each;
      const double length = norm(q);
      if (each.size() != directions[0].size()) {
        throw bad_input{"", "project_out", "directions of one length", "others"};
      }
      for (int twice = 0; twice < 2; ++twice) {
        for (const std::vector<double>& other : basis_) subtract(other, std::span<double>{q});
      }
      const double left = norm(q);
      if (!(left > 1e-10 * length) || !std::isfinite(left)) {
        throw bad_input{"", "project_out", "directions that are linearly independent",
                        "number " + std::to_string(basis_.size()) + " in the span of those before"};
      }
      for (double& unit : q) unit /= left;
      basis_.push_back(std::move(q));
    }
  }

  /// Throws `bad_input` if x is not as long as the directions.
  template <class T>
  void operator()(std::span<T> x, const vector_place&) const {
    for (const std::vector<double>& q : basis_) {
      if (q.size() != x.size()) {
        throw bad_input{"", "project_out", "directions of length " + std::to_string(x.size()),
                        std::to_string(q.size())};
      }
      subtract(q, x);
    }
  }

 private:
  static double norm(std::span<const double> x) {
    double sum = 0;
    for (const double unit : x) sum += unit * unit;
    return std::sqrt(sum);
  }
  template <class T>
  static void subtract(std::span<const double> q, std::span<T> x) {
    double along = 0;
    for (std::size_t i = 0; i < q.size(); ++i) along += q[i] * static_cast<double>(x[i]);
    for (std::size_t i = 0; i < q.size(); ++i) x[i] = static_cast<T>(static_cast<double>(x[i]) - along * q[i]);
  }

  std::vector<std::vector<double>> basis_;
};

/// Puts x where `bias` is along some directions: x -= leftᵀ right (x - bias). With right = left, orthonormal, and no
/// bias that is `project_out`. (Belrose et al. 2023, LEACE: what the package concept-erasure calls `proj_left`, here
/// transposed, `proj_right` and `bias`.)
class erase {
 public:
  static constexpr std::string_view name = "erase";

  /// left, right (direction, hidden), bias (hidden). Throws `bad_input` if they do not fit.
  erase(tensor_view<const float, 2> left, tensor_view<const float, 2> right, std::span<const float> bias)
      : count_{left.rows()}, bias_(bias.begin(), bias.end()) {
    if (right.rows() != count_ || left.cols() != bias.size() || right.cols() != bias.size()) {
      throw bad_input{"", "erase", "left and right of as many directions, all as long as bias",
                      std::to_string(left.rows()) + " and " + std::to_string(right.rows()) + " of length " +
                          std::to_string(left.cols()) + " and " + std::to_string(right.cols()) + ", bias of " +
                          std::to_string(bias.size())};
    }
    for (std::size_t i = 0; i < count_; ++i) left_.insert(left_.end(), left.row(i).begin(), left.row(i).end());
    right_.resize(left_.size());
    for (std::size_t i = 0; i < count_; ++i) {
      for (std::size_t j = 0; j < bias_.size(); ++j) right_[j * count_ + i] = right(i, j);
    }
  }

  /// Throws `bad_input` if x is not as long as the directions.
  template <class T>
  void operator()(std::span<T> x, const vector_place&) {
    const std::size_t width = bias_.size();
    if (x.size() != width) {
      throw bad_input{"", "erase", "directions of length " + std::to_string(x.size()), std::to_string(width)};
    }
    std::vector<T>& along = std::get<std::vector<T>>(along_);
    along.assign(count_, T{0});
    T *const sums = along.data(), *const to = x.data();
    simd::run([&]() __attribute__((always_inline)) {
      for (std::size_t j = 0; j < width; ++j) {
        const T from_bias = to[j] - static_cast<T>(bias_[j]);
        const float* const right = right_.data() + j * count_;
        for (std::size_t i = 0; i < count_; ++i) sums[i] += from_bias * static_cast<T>(right[i]);
      }
      for (std::size_t i = 0; i < count_; ++i) {
        const float* const left = left_.data() + i * width;
        for (std::size_t j = 0; j < width; ++j) to[j] -= sums[i] * static_cast<T>(left[j]);
      }
    });
  }

 private:
  std::size_t count_;
  std::vector<float> left_;   // (direction, hidden)
  std::vector<float> right_;  // (hidden, direction)
  std::vector<float> bias_;
  std::tuple<std::vector<float>, std::vector<double>> along_;
};

}  // namespace optscope
