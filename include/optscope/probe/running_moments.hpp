// SPDX-License-Identifier: MIT
#pragma once
// Running count, mean, variance, smallest and largest of each unit, and the covariance of all units, in double.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/running.hpp>
#include <span>
#include <vector>

namespace optscope {

/// Mean and variance by Welford's update, merged by that of Chan, Golub and LeVeque. NaN stays NaN.
class running_moments {
 public:
  void start(std::size_t width);
  void reset() { start(mean_.size()); }
  /// x: float or double.
  template <class T>
  void add(std::span<const T> x, std::size_t text, std::size_t position);
  void merge(const running_moments& other);

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] const std::vector<double>& mean() const noexcept { return mean_; }  ///< (unit)
  [[nodiscard]] const std::vector<double>& min() const noexcept { return least_; }  ///< infinity before the first
  [[nodiscard]] const std::vector<double>& max() const noexcept { return most_; }
  /// Sum of squared deviations / (count - less): the variance of what passed, or with `less` = 1 the unbiased estimate.
  [[nodiscard]] std::vector<double> variance(std::size_t less = 0) const;

  void for_each_tensor(const tensor_action& action) const;
  void restore(const tensor_source& source);

 private:
  std::size_t count_ = 0;
  std::vector<double> mean_, squares_, least_, most_;  // (unit)
};

/// Covariance of all pairs of units. Memory: width² doubles per layer; cost: width² operations per vector.
class running_covariance {
 public:
  void start(std::size_t width);
  void reset() { start(mean_.size()); }
  /// x: float or double.
  template <class T>
  void add(std::span<const T> x, std::size_t text, std::size_t position);
  void merge(const running_covariance& other);

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] const std::vector<double>& mean() const noexcept { return mean_; }  ///< (unit)
  /// (unit, unit), divided by count - less.
  [[nodiscard]] tensor<double, 2> covariance(std::size_t less = 0) const;

  void for_each_tensor(const tensor_action& action) const;
  void restore(const tensor_source& source);

 private:
  void add_products(double factor);

  std::size_t count_ = 0;
  std::vector<double> mean_, change_;  // (unit)
  tensor<double, 2> products_;         // (unit, unit): the upper triangle
};

static_assert(running_statistic<running_moments> && running_statistic<running_moments, double> &&
              saved_statistic<running_moments>);
static_assert(running_statistic<running_covariance> && running_statistic<running_covariance, double> &&
              saved_statistic<running_covariance>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/running_moments.ipp>
#endif
