// SPDX-License-Identifier: MIT
#pragma once
// Bodies of running_quantiles.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/probe/running_quantiles.hpp>
#include <string>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE quantile_sketch::quantile_sketch(std::size_t k) : k_{k} { items_.reserve(most_items()); }

OPTSCOPE_INLINE void quantile_sketch::reset() {
  items_.clear();
  begins_.fill(0);
  levels_ = 1;
  count_ = 0;
  bits_ = seed;
  lowest_ = std::numeric_limits<double>::infinity();
  highest_ = -lowest_;
}

OPTSCOPE_INLINE void quantile_sketch::add(double value) {
  if (!(value == value)) return;
  if (items_.size() >= capacity()) compact();
  items_.push_back(value);
  ++count_;
  lowest_ = std::min(lowest_, value);
  highest_ = std::max(highest_, value);
}

OPTSCOPE_INLINE void quantile_sketch::merge(const quantile_sketch& other) {
  for (; levels_ < other.levels_; ++levels_) begins_[levels_] = 0;
  std::vector<double> all;
  all.reserve(std::max(items_.size() + other.items_.size(), most_items()));
  std::array<std::size_t, most_levels> begins{};
  for (std::size_t level = levels_; level-- > 0;) {
    begins[level] = all.size();
    const auto mine = of_level(level);
    all.insert(all.end(), mine.begin(), mine.end());
    if (level >= other.levels_) continue;
    const auto theirs = other.of_level(level);
    all.insert(all.end(), theirs.begin(), theirs.end());
  }
  items_ = std::move(all);
  begins_ = begins;
  count_ += other.count_;
  lowest_ = std::min(lowest_, other.lowest_);
  highest_ = std::max(highest_, other.highest_);
  while (items_.size() > capacity()) compact();
}

OPTSCOPE_INLINE void quantile_sketch::restore(std::span<const double> numbers, std::span<const double> weights,
                                              double lowest, double highest) {
  reset();
  std::size_t level = most_levels;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    int exponent = 0;
    const bool power = std::frexp(weights[i], &exponent) == 0.5 && exponent >= 1;
    const auto of = static_cast<std::size_t>(std::max(exponent - 1, 0));
    if (!power || of > level - (level == most_levels) || !(numbers[i] == numbers[i])) {
      throw bad_input{"", "quantile sketch", "numbers whose weights are falling powers of two",
                      "number " + std::to_string(numbers[i]) + " with weight " + std::to_string(weights[i])};
    }
    if (level == most_levels) levels_ = of + 1;
    for (; level > of; --level) begins_[level - 1] = i;
    items_.push_back(numbers[i]);
    count_ += static_cast<std::size_t>(weights[i]);
  }
  if (!numbers.empty()) {
    const auto [smallest, largest] = std::ranges::minmax(numbers);
    if (!(lowest <= smallest && highest >= largest)) {
      throw bad_input{"", "quantile sketch",
                      "numbers between " + std::to_string(lowest) + " and " + std::to_string(highest),
                      std::to_string(smallest) + " to " + std::to_string(largest)};
    }
    lowest_ = lowest;
    highest_ = highest;
  }
  if (!items_.empty()) std::fill_n(begins_.begin(), level, items_.size());
  while (items_.size() > capacity()) compact();
}

OPTSCOPE_INLINE double quantile_sketch::rank_error() const { return 2.296 / std::pow(static_cast<double>(k_), 0.9723); }

OPTSCOPE_INLINE double quantile_sketch::quantile(double q) const {
  if (count_ == 0) return std::nan("");
  if (q <= 0) return lowest_;
  if (q >= 1) return highest_;
  std::vector<std::pair<double, double>> weighted;  // number, how many it stands for
  for (std::size_t level = 0; level < levels_; ++level) {
    for (const double value : of_level(level)) weighted.emplace_back(value, std::ldexp(1.0, static_cast<int>(level)));
  }
  std::ranges::sort(weighted);
  const double wanted = q * static_cast<double>(count_) * (1 - 1e-14);  // 0.07 * 100 is above 7
  double sum = 0;
  for (const auto& [value, weight] : weighted) {
    sum += weight;
    if (sum >= wanted) return value;
  }
  return highest_;
}

/// The share of a level: k at the top, two thirds of the level above for each level below.
OPTSCOPE_INLINE std::size_t quantile_sketch::capacity_of(std::size_t level, std::size_t levels) const {
  const double share = static_cast<double>(k_) * std::pow(2.0 / 3.0, static_cast<double>(levels - 1 - level));
  return std::max(least, static_cast<std::size_t>(std::lround(share)));
}

OPTSCOPE_INLINE std::size_t quantile_sketch::capacity(std::size_t levels) const {
  std::size_t sum = 0;
  for (std::size_t level = 0; level < levels; ++level) sum += capacity_of(level, levels);
  return sum;
}

OPTSCOPE_INLINE std::size_t quantile_sketch::capacity() {
  if (levels_ != known_levels_) known_capacity_ = capacity(known_levels_ = levels_);
  return known_capacity_;
}

OPTSCOPE_INLINE std::span<const double> quantile_sketch::of_level(std::size_t level) const {
  const std::size_t end = level == 0 ? items_.size() : begins_[level - 1];
  return std::span{items_}.subspan(begins_[level], end - begins_[level]);
}

OPTSCOPE_INLINE void quantile_sketch::compact() {
  std::size_t level = 0;
  while (of_level(level).size() < capacity_of(level, levels_)) ++level;  // one has: the sum is full
  if (level + 1 == levels_) begins_[levels_++] = 0;
  double* const begin = items_.data() + begins_[level];
  const std::size_t size = of_level(level).size(), pairs = size / 2;
  std::sort(begin, begin + size);
  // An odd one, drawn from the ends so that neither is favoured, stays in its level.
  const std::size_t first = size % 2 != 0 && draw() ? 1 : 0;
  const double odd = first == 1 ? begin[0] : begin[size - 1];
  const std::size_t offset = draw();
  for (std::size_t i = 0; i < pairs; ++i) begin[i] = begin[first + 2 * i + offset];
  if (size % 2 != 0) begin[pairs] = odd;
  // What is left of the pairs joins the level above, which lies before it; the levels below move up.
  const std::size_t left = pairs + size % 2;
  std::copy(begin + size, items_.data() + items_.size(), begin + left);
  items_.resize(items_.size() - pairs);
  begins_[level] += pairs;
  for (std::size_t below = 0; below < level; ++below) begins_[below] -= pairs;
}

OPTSCOPE_INLINE std::size_t quantile_sketch::draw() noexcept {  // xorshift64
  bits_ ^= bits_ << 13;
  bits_ ^= bits_ >> 7;
  bits_ ^= bits_ << 17;
  return bits_ >> 63;
}

OPTSCOPE_INLINE void running_quantiles::start(std::size_t width) {
  sketches_.clear();
  for (std::size_t unit = 0; unit < width; ++unit) sketches_.emplace_back(k_);
}

OPTSCOPE_INLINE void running_quantiles::reset() {
  for (quantile_sketch& each : sketches_) each.reset();
}

template <class T>
void running_quantiles::add(std::span<const T> x, std::size_t /*text*/, std::size_t /*position*/) {
  for (std::size_t unit = 0; unit < x.size(); ++unit) sketches_[unit].add(static_cast<double>(x[unit]));
}

OPTSCOPE_INLINE void running_quantiles::merge(const running_quantiles& other) {
  for (std::size_t unit = 0; unit < sketches_.size(); ++unit) sketches_[unit].merge(other.sketches_[unit]);
}

OPTSCOPE_INLINE void running_quantiles::for_each_tensor(const tensor_action& action) const {
  std::vector<double> percentiles;
  std::size_t most = 0;
  for (const quantile_sketch& each : sketches_) {
    for (int percent = 0; percent <= 100; ++percent) percentiles.push_back(each.quantile(percent / 100.0));
    most = std::max(most, each.size());
  }
  std::vector<double> numbers(sketches_.size() * most, std::nan("")), weights(numbers.size());
  for (std::size_t unit = 0; unit < sketches_.size(); ++unit) {
    std::size_t i = unit * most;
    sketches_[unit].for_each([&](double number, double weight) {
      numbers[i] = number;
      weights[i++] = weight;
    });
  }
  action("percentile", {sketches_.size(), 101}, percentiles);
  action("number", {sketches_.size(), most}, numbers);
  action("weight", {sketches_.size(), most}, weights);
}

OPTSCOPE_INLINE void running_quantiles::restore(const tensor_source& source) {
  const std::vector<std::size_t> shape{sketches_.size(), 0};
  const std::vector<double> numbers = source("number", shape), weights = source("weight", shape);
  const std::vector<double> percentiles = source("percentile", {sketches_.size(), 101});
  if (numbers.size() != weights.size()) {
    throw bad_input{"", "saved statistics", std::to_string(numbers.size()) + " weights",
                    std::to_string(weights.size())};
  }
  for (std::size_t unit = 0; unit < sketches_.size(); ++unit) {
    const std::size_t each = numbers.size() / sketches_.size();
    const std::span<const double> weight = std::span{weights}.subspan(unit * each, each);
    const auto count = static_cast<std::size_t>(std::ranges::find(weight, 0.0) - weight.begin());
    sketches_[unit].restore(std::span{numbers}.subspan(unit * each, count), weight.first(count),
                            percentiles[unit * 101], percentiles[unit * 101 + 100]);
  }
}

#ifdef OPTSCOPE_COMPILED
template void running_quantiles::add(std::span<const float>, std::size_t, std::size_t);
template void running_quantiles::add(std::span<const double>, std::size_t, std::size_t);
#endif

}  // namespace optscope
