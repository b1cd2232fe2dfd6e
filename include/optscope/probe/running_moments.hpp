// SPDX-License-Identifier: MIT
#pragma once
// Running count, mean, variance, smallest and largest of each unit, and the covariance of all: in double, by Welford.

#include <algorithm>
#include <cstddef>
#include <limits>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/running.hpp>
#include <span>
#include <vector>

namespace optscope {

/// Mean and variance by Welford's update, merged by that of Chan, Golub and LeVeque. NaN stays NaN.
class running_moments {
 public:
  void start(std::size_t width) {
    mean_.assign(width, 0);
    squares_.assign(width, 0);
    least_.assign(width, std::numeric_limits<double>::infinity());
    most_.assign(width, -std::numeric_limits<double>::infinity());
    count_ = 0;
  }
  void reset() { start(mean_.size()); }

  template <class T>
  void add(std::span<const T> x, std::size_t /*text*/, std::size_t /*position*/) {
    const double share = 1 / static_cast<double>(++count_);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double value = x[i], change = value - mean_[i];
      mean_[i] += change * share;
      squares_[i] += change * (value - mean_[i]);
      least_[i] = value < least_[i] ? value : least_[i];
      most_[i] = value > most_[i] ? value : most_[i];
    }
  }
  void merge(const running_moments& other) {
    if (other.count_ == 0) return;
    const auto n = static_cast<double>(count_), m = static_cast<double>(other.count_);
    for (std::size_t i = 0; i < mean_.size(); ++i) {
      const double change = other.mean_[i] - mean_[i];
      mean_[i] += change * m / (n + m);
      squares_[i] += other.squares_[i] + change * change * n * m / (n + m);
      least_[i] = std::min(least_[i], other.least_[i]);
      most_[i] = std::max(most_[i], other.most_[i]);
    }
    count_ += other.count_;
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] const std::vector<double>& mean() const noexcept { return mean_; }  ///< (unit)
  [[nodiscard]] const std::vector<double>& min() const noexcept { return least_; }  ///< infinity before the first
  [[nodiscard]] const std::vector<double>& max() const noexcept { return most_; }
  /// Sum of squared deviations / (count - less): the variance of what passed, or with `less` = 1 the unbiased estimate.
  [[nodiscard]] std::vector<double> variance(std::size_t less = 0) const {
    std::vector<double> result = squares_;
    for (double& value : result) value /= static_cast<double>(count_) - static_cast<double>(less);
    return result;
  }

  template <class Action>
  void for_each_tensor(Action&& action) const {
    action("count", {1}, std::vector<double>{static_cast<double>(count_)});
    action("mean", {mean_.size()}, mean_);
    action("variance", {mean_.size()}, variance());
    action("min", {mean_.size()}, least_);
    action("max", {mean_.size()}, most_);
  }
  template <class ValuesOf>
  void restore(ValuesOf&& values_of) {
    const std::vector<std::size_t> width{mean_.size()};
    count_ = detail::saved_count(values_of("count", std::vector<std::size_t>{1})[0]);
    mean_ = values_of("mean", width);
    squares_ = values_of("variance", width);
    for (double& value : squares_) value = count_ == 0 ? 0 : value * static_cast<double>(count_);
    least_ = values_of("min", width);
    most_ = values_of("max", width);
  }

 private:
  std::size_t count_ = 0;
  std::vector<double> mean_, squares_, least_, most_;  // (unit)
};

/// Covariance of all pairs of units; width² doubles a layer, width² operations a vector.
class running_covariance {
 public:
  void start(std::size_t width) {
    mean_.assign(width, 0);
    change_.assign(width, 0);
    products_ = tensor<double, 2>{{width, width}};
    count_ = 0;
  }
  void reset() { start(mean_.size()); }

  template <class T>
  void add(std::span<const T> x, std::size_t /*text*/, std::size_t /*position*/) {
    ++count_;
    for (std::size_t i = 0; i < x.size(); ++i) {
      change_[i] = static_cast<double>(x[i]) - mean_[i];
      mean_[i] += change_[i] / static_cast<double>(count_);
    }
    add_products(static_cast<double>(count_ - 1) / static_cast<double>(count_));
  }
  void merge(const running_covariance& other) {
    if (other.count_ == 0) return;
    const auto n = static_cast<double>(count_), m = static_cast<double>(other.count_);
    for (std::size_t i = 0; i < mean_.size(); ++i) {
      change_[i] = other.mean_[i] - mean_[i];
      mean_[i] += change_[i] * m / (n + m);
    }
    add_products(n * m / (n + m));
    for (std::size_t i = 0; i < products_.size(); ++i) products_.data()[i] += other.products_.data()[i];
    count_ += other.count_;
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] const std::vector<double>& mean() const noexcept { return mean_; }  ///< (unit)
  /// (unit, unit), divided by count - less.
  [[nodiscard]] tensor<double, 2> covariance(std::size_t less = 0) const {
    tensor<double, 2> result = products_;
    const double divisor = static_cast<double>(count_) - static_cast<double>(less);
    for (std::size_t i = 0; i < mean_.size(); ++i) {
      for (std::size_t j = i; j < mean_.size(); ++j) result(j, i) = result(i, j) = products_(i, j) / divisor;
    }
    return result;
  }

  template <class Action>
  void for_each_tensor(Action&& action) const {
    const tensor<double, 2> all = covariance();
    action("count", {1}, std::vector<double>{static_cast<double>(count_)});
    action("mean", {mean_.size()}, mean_);
    action("covariance", {mean_.size(), mean_.size()}, std::span<const double>{all.data(), all.size()});
  }
  template <class ValuesOf>
  void restore(ValuesOf&& values_of) {
    count_ = detail::saved_count(values_of("count", std::vector<std::size_t>{1})[0]);
    mean_ = values_of("mean", std::vector<std::size_t>{mean_.size()});
    const std::vector<double> all = values_of("covariance", std::vector<std::size_t>{mean_.size(), mean_.size()});
    for (std::size_t i = 0; i < all.size(); ++i) {
      products_.data()[i] = count_ == 0 ? 0 : all[i] * static_cast<double>(count_);
    }
  }

 private:
  /// The upper triangle += factor * change changeᵀ.
  void add_products(double factor) {
    for (std::size_t i = 0; i < change_.size(); ++i) {
      const double scaled = factor * change_[i];
      double* const row = products_.row(i).data();
      for (std::size_t j = i; j < change_.size(); ++j) row[j] += scaled * change_[j];
    }
  }

  std::size_t count_ = 0;
  std::vector<double> mean_, change_;  // (unit)
  tensor<double, 2> products_;         // (unit, unit): the upper triangle
};

static_assert(running_statistic<running_moments> && running_statistic<running_covariance>);

}  // namespace optscope
