// SPDX-License-Identifier: MIT
#pragma once
// Bodies of running_moments.hpp.

#include <algorithm>
#include <limits>
#include <optscope/probe/running_moments.hpp>

namespace optscope {

OPTSCOPE_INLINE void running_moments::start(std::size_t width) {
  mean_.assign(width, 0);
  squares_.assign(width, 0);
  least_.assign(width, std::numeric_limits<double>::infinity());
  most_.assign(width, -std::numeric_limits<double>::infinity());
  count_ = 0;
}

template <class T>
void running_moments::add(std::span<const T> x, std::size_t /*text*/, std::size_t /*position*/) {
  ++count_;
  const double share = 1 / static_cast<double>(count_);
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double value = x[i], change = value - mean_[i];
    mean_[i] += change * share;
    squares_[i] += change * (value - mean_[i]);
    least_[i] = value < least_[i] ? value : least_[i];
    most_[i] = value > most_[i] ? value : most_[i];
  }
}

OPTSCOPE_INLINE void running_moments::merge(const running_moments& other) {
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

OPTSCOPE_INLINE std::vector<double> running_moments::variance(std::size_t less) const {
  std::vector<double> result = squares_;
  for (double& value : result) value /= static_cast<double>(count_) - static_cast<double>(less);
  return result;
}

OPTSCOPE_INLINE void running_moments::for_each_tensor(const tensor_action& action) const {
  const auto count = static_cast<double>(count_);
  action("count", {1}, {&count, 1});
  action("mean", {mean_.size()}, mean_);
  action("variance", {mean_.size()}, variance());
  action("min", {mean_.size()}, least_);
  action("max", {mean_.size()}, most_);
}

OPTSCOPE_INLINE void running_moments::restore(const tensor_source& source) {
  const std::vector<std::size_t> width{mean_.size()};
  count_ = detail::saved_count(source("count", {1})[0]);
  mean_ = source("mean", width);
  squares_ = source("variance", width);
  for (double& value : squares_) value = count_ == 0 ? 0 : value * static_cast<double>(count_);
  least_ = source("min", width);
  most_ = source("max", width);
}

OPTSCOPE_INLINE void running_covariance::start(std::size_t width) {
  mean_.assign(width, 0);
  change_.assign(width, 0);
  products_ = tensor<double, 2>{{width, width}};
  count_ = 0;
}

template <class T>
void running_covariance::add(std::span<const T> x, std::size_t /*text*/, std::size_t /*position*/) {
  ++count_;
  for (std::size_t i = 0; i < x.size(); ++i) {
    change_[i] = static_cast<double>(x[i]) - mean_[i];
    mean_[i] += change_[i] / static_cast<double>(count_);
  }
  add_products(static_cast<double>(count_ - 1) / static_cast<double>(count_));
}

OPTSCOPE_INLINE void running_covariance::merge(const running_covariance& other) {
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

OPTSCOPE_INLINE tensor<double, 2> running_covariance::covariance(std::size_t less) const {
  tensor<double, 2> result = products_;
  const double divisor = static_cast<double>(count_) - static_cast<double>(less);
  for (std::size_t i = 0; i < mean_.size(); ++i) {
    for (std::size_t j = i; j < mean_.size(); ++j) result(j, i) = result(i, j) = products_(i, j) / divisor;
  }
  return result;
}

OPTSCOPE_INLINE void running_covariance::for_each_tensor(const tensor_action& action) const {
  const tensor<double, 2> all = covariance();
  const auto count = static_cast<double>(count_);
  action("count", {1}, {&count, 1});
  action("mean", {mean_.size()}, mean_);
  action("covariance", {mean_.size(), mean_.size()}, {all.data(), all.size()});
}

OPTSCOPE_INLINE void running_covariance::restore(const tensor_source& source) {
  const std::size_t width = mean_.size();
  count_ = detail::saved_count(source("count", {1})[0]);
  mean_ = source("mean", {width});
  const std::vector<double> all = source("covariance", {width, width});
  for (std::size_t i = 0; i < all.size(); ++i) {
    products_.data()[i] = count_ == 0 ? 0 : all[i] * static_cast<double>(count_);
  }
}

/// The upper triangle += factor * change changeᵀ.
OPTSCOPE_INLINE void running_covariance::add_products(double factor) {
  for (std::size_t i = 0; i < change_.size(); ++i) {
    const double scaled = factor * change_[i];
    double* const row = products_.row(i).data();
    for (std::size_t j = i; j < change_.size(); ++j) row[j] += scaled * change_[j];
  }
}

#ifdef OPTSCOPE_COMPILED
template void running_moments::add(std::span<const float>, std::size_t, std::size_t);
template void running_moments::add(std::span<const double>, std::size_t, std::size_t);
template void running_covariance::add(std::span<const float>, std::size_t, std::size_t);
template void running_covariance::add(std::span<const double>, std::size_t, std::size_t);
#endif

}  // namespace optscope
