// SPDX-License-Identifier: MIT
#pragma once
// What editors do to a vector: set, add, scale, remove a direction, or move to a point along some directions.

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <iterator>
#include <limits>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/where.hpp>
#include <span>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

namespace optscope {

/// The numbers that an operation takes: one for all units, one for each unit, or one for each head and unit, head by
/// head; the same in all layers, or a list for each layer.
class unit_values {
 public:
  unit_values(double one) : lists_{{one}} {}
  unit_values(std::vector<double> values) : lists_{std::move(values)} {}
  /// Anything else that is a span of float or double: a vector, an array, a row of a tensor.
  template <class Values>
    requires std::convertible_to<const Values&, std::span<const float>> ||
             std::convertible_to<const Values&, std::span<const double>>
  unit_values(const Values& values) : lists_{{std::begin(values), std::end(values)}} {}
  /// [layer]
  unit_values(std::vector<std::vector<double>> by_layer) : lists_{std::move(by_layer)}, by_layer_{true} {}

  /// The values for a vector of this width: one for each unit, or one for all of them. Throws `bad_input` with `name`
  /// if there are neither.
  [[nodiscard]] std::span<const double> of(std::size_t width, const vector_place& at, std::string_view name) const;

  /// Calls `change(x[i], value)` for each unit of a vector. Throws as `of` does.
  template <class T, class Change>
  void apply(std::span<T> x, const vector_place& at, std::string_view name, Change&& change) const {
    const std::span<const double> values = of(x.size(), at, name);
    const std::size_t step = values.size() == 1 ? 0 : 1;
    for (std::size_t i = 0; i < x.size(); ++i) change(x[i], values[i * step]);
  }

 private:
  std::vector<std::vector<double>> lists_;
  bool by_layer_ = false;
};

/// An operation that changes every unit alike at all positions may also say how: x = factor x + addend, where a factor
/// that is not a number means x = addend. Backends with a memory of their own then edit there.
template <class Operation, class T>
concept affine_operation = requires(const Operation& operation, std::span<T> factor, const vector_place& at) {
  operation.as_affine(factor, factor, at);
};

/// x = 0.
struct zero {
  static constexpr std::string_view name = "zero";
  template <class T>
  void operator()(std::span<T> x, const vector_place&) const {
    std::ranges::fill(x, T{0});
  }
  template <class T>
  void as_affine(std::span<T> factor, std::span<T> addend, const vector_place&) const {
    std::ranges::fill(factor, std::numeric_limits<T>::quiet_NaN());
    std::ranges::fill(addend, T{0});
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
  template <class T>
  void as_affine(std::span<T> factor, std::span<T> addend, const vector_place& at) const {
    std::ranges::fill(factor, std::numeric_limits<T>::quiet_NaN());
    (*this)(addend, at);
  }
};

/// x += strength * values: steers along a direction, such as `add{direction, 4}`.
struct add {
  unit_values values;
  double strength = 1;
  static constexpr std::string_view name = "add";
  template <class T>
  void operator()(std::span<T> x, const vector_place& at) const {
    values.apply(x, at, name, [&](T& unit, double value) {
      const T change = static_cast<T>(strength * value);
      if (change != 0) unit += change;  // and -0 stays -0
    });
  }
  template <class T>
  void as_affine(std::span<T> factor, std::span<T> addend, const vector_place& at) const {
    std::ranges::fill(factor, T{1});
    values.apply(addend, at, name, [&](T& unit, double value) { unit = static_cast<T>(strength * value); });
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
  template <class T>
  void as_affine(std::span<T> factor, std::span<T> addend, const vector_place& at) const {
    values.apply(factor, at, name, [](T& unit, double value) { unit = static_cast<T>(value); });
    std::ranges::fill(addend, T{0});
  }
};

/// Removes what x has along some directions: x -= Q Qᵀ x, where Q is an orthonormal basis of them. In double.
class project_out {
 public:
  static constexpr std::string_view name = "project_out";

  explicit project_out(const std::vector<double>& direction);
  /// Throws `bad_input` if the directions differ in length or are linearly dependent.
  explicit project_out(const std::vector<std::vector<double>>& directions);

  /// x: float or double. Throws `bad_input` if x is not as long as the directions.
  template <class T>
  void operator()(std::span<T> x, const vector_place& at) const;

 private:
  std::vector<std::vector<double>> basis_;
};

/// Moves x to where `bias` is along some directions: x -= leftᵀ right (x - bias). With right = left, orthonormal, and a
/// bias of zeros that is `project_out`. (Belrose et al. 2023, LEACE: what the package concept-erasure calls
/// `proj_left`, here transposed, `proj_right` and `bias`.)
class erase {
 public:
  static constexpr std::string_view name = "erase";

  /// left, right (direction, hidden), bias (hidden). Throws `bad_input` if they do not fit.
  erase(tensor_view<const float, 2> left, tensor_view<const float, 2> right, std::span<const float> bias);

  /// x: float or double. Throws `bad_input` if x is not as long as the directions.
  template <class T>
  void operator()(std::span<T> x, const vector_place& at);

 private:
  std::size_t count_;
  std::vector<float> left_;   // (direction, hidden)
  std::vector<float> right_;  // (hidden, direction)
  std::vector<float> bias_;
  std::tuple<std::vector<float>, std::vector<double>> along_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/operations.ipp>
#endif
