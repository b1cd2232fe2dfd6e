// SPDX-License-Identifier: MIT
#pragma once
// Quantiles of each unit from a sketch of bounded size.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optscope/core/errors.hpp>
#include <optscope/probe/running.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// A sketch of a stream of numbers: Karnin, Lang and Liberty, "Optimal quantile approximation in streams" (2016).
/// Levels of numbers, one of level h standing for 2^h; when the memory is full, the lowest level that has its share is
/// sorted and every other number goes one level up. With k = 200, about 600 numbers, a quantile's rank is off by more
/// than 1.33 % of the count in one case of a hundred (`rank_error`, as measured for the implementation in Apache
/// DataSketches); exact for fewer than k numbers. The same stream gives the same bits.
class quantile_sketch {
 public:
  explicit quantile_sketch(std::size_t k = 200) : k_{k} { items_.reserve(most_items()); }

  void reset() {
    items_.clear();
    begins_.fill(0);
    levels_ = 1;
    count_ = 0;
    bits_ = seed;
  }
  /// NaN is passed over.
  void add(double value) {
    if (!(value == value)) return;
    if (items_.size() >= capacity()) compact();
    items_.push_back(value);
    ++count_;
  }
  /// As if the other's numbers had been added.
  void merge(const quantile_sketch& other) {
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
    while (items_.size() > capacity()) compact();
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }  ///< numbers kept
  /// Calls `action(number, how many it stands for)` for each number kept, those that stand for most first.
  template <class Action>
  void for_each(Action&& action) const {
    for (std::size_t level = levels_; level-- > 0;) {
      for (const double value : of_level(level)) action(value, std::ldexp(1.0, static_cast<int>(level)));
    }
  }
  /// Takes the numbers that `for_each` gave back, in that order, in place of its own. Throws `bad_input` if they are
  /// not those of a sketch.
  void restore(std::span<const double> numbers, std::span<const double> weights) {
    reset();
    std::size_t level = most_levels;
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      int exponent = 0;
      const bool power = std::frexp(weights[i], &exponent) == 0.5 && exponent >= 1;
      const auto of = static_cast<std::size_t>(std::max(exponent - 1, 0));
      if (!power || of > level - (level == most_levels) || !(numbers[i] == numbers[i])) {
        throw bad_input{"", "quantile sketch", "numbers with falling powers of two", "others"};
      }
      if (level == most_levels) levels_ = of + 1;
      for (; level > of; --level) begins_[level - 1] = i;
      items_.push_back(numbers[i]);
      count_ += static_cast<std::size_t>(weights[i]);
    }
    if (!items_.empty()) std::fill_n(begins_.begin(), level, items_.size());
    while (items_.size() > capacity()) compact();
  }
  /// How far a rank may be off, as a share of the count, in 99 of 100 cases.
  [[nodiscard]] double rank_error() const { return 2.296 / std::pow(static_cast<double>(k_), 0.9723); }

  /// The number below or at which a share q of the stream lies, 0 <= q <= 1; NaN if there was none.
  [[nodiscard]] double quantile(double q) const {
    std::vector<std::pair<double, double>> weighted;  // number, how many it stands for
    for (std::size_t level = 0; level < levels_; ++level) {
      for (const double value : of_level(level)) weighted.emplace_back(value, std::ldexp(1.0, static_cast<int>(level)));
    }
    std::ranges::sort(weighted);
    double sum = 0;
    for (const auto& [value, weight] : weighted) {
      sum += weight;
      if (sum >= q * static_cast<double>(count_)) return value;
    }
    return weighted.empty() ? std::nan("") : weighted.back().first;
  }

 private:
  static constexpr std::size_t most_levels = 48;  // 2^48 numbers
  static constexpr std::size_t least = 8;         // of a level
  static constexpr std::uint64_t seed = 0x9e3779b97f4a7c15u;

  /// The share of a level: k at the top, two thirds of that above at each below.
  [[nodiscard]] std::size_t capacity_of(std::size_t level, std::size_t levels) const {
    const double share = static_cast<double>(k_) * std::pow(2.0 / 3.0, static_cast<double>(levels - 1 - level));
    return std::max(least, static_cast<std::size_t>(std::lround(share)));
  }
  [[nodiscard]] std::size_t capacity(std::size_t levels) const {
    std::size_t sum = 0;
    for (std::size_t level = 0; level < levels; ++level) sum += capacity_of(level, levels);
    return sum;
  }
  [[nodiscard]] std::size_t capacity() {
    if (levels_ != known_levels_) known_capacity_ = capacity(known_levels_ = levels_);
    return known_capacity_;
  }
  [[nodiscard]] std::size_t most_items() const { return capacity(most_levels) + 1; }

  /// The numbers lie level by level, the highest first, so that new ones go to the end.
  [[nodiscard]] std::span<const double> of_level(std::size_t level) const {
    const std::size_t end = level == 0 ? items_.size() : begins_[level - 1];
    return std::span{items_}.subspan(begins_[level], end - begins_[level]);
  }

  void compact() {
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
    // What is left of the pairs joins the level above, which lies in front; the levels below move up.
    const std::size_t left = pairs + size % 2;
    std::copy(begin + size, items_.data() + items_.size(), begin + left);
    items_.resize(items_.size() - pairs);
    begins_[level] += pairs;
    for (std::size_t below = 0; below < level; ++below) begins_[below] -= pairs;
  }

  std::size_t draw() noexcept {  // xorshift64
    bits_ ^= bits_ << 13;
    bits_ ^= bits_ >> 7;
    bits_ ^= bits_ << 17;
    return bits_ >> 63;
  }

  std::size_t k_;
  std::vector<double> items_;
  std::array<std::size_t, most_levels> begins_{};  // [level]: first of its numbers in `items_`
  std::size_t levels_ = 1, count_ = 0, known_levels_ = 0, known_capacity_ = 0;
  std::uint64_t bits_ = seed;
};

/// A `quantile_sketch` of each unit: with k = 200 about 8 kB a unit.
class running_quantiles {
 public:
  explicit running_quantiles(std::size_t k = 200) : k_{k} {}

  void start(std::size_t width) {
    sketches_.clear();
    for (std::size_t unit = 0; unit < width; ++unit) sketches_.emplace_back(k_);
  }
  void reset() {
    for (quantile_sketch& each : sketches_) each.reset();
  }
  template <class T>
  void add(std::span<const T> x, std::size_t /*text*/, std::size_t /*position*/) {
    for (std::size_t unit = 0; unit < x.size(); ++unit) sketches_[unit].add(static_cast<double>(x[unit]));
  }
  void merge(const running_quantiles& other) {
    for (std::size_t unit = 0; unit < sketches_.size(); ++unit) sketches_[unit].merge(other.sketches_[unit]);
  }

  [[nodiscard]] const quantile_sketch& operator()(std::size_t unit) const { return sketches_.at(unit); }

  /// The 101 percentiles, 0 to 100: (unit, 101); the numbers kept and how many each stands for: (unit, number), behind
  /// the last NaN and 0.
  template <class Action>
  void for_each_tensor(Action&& action) const {
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
  template <class ValuesOf>
  void restore(ValuesOf&& values_of) {
    const std::vector<std::size_t> shape{sketches_.size(), 0};
    const std::vector<double> numbers = values_of("number", shape), weights = values_of("weight", shape);
    if (numbers.size() != weights.size()) {
      throw bad_input{"", "saved statistics", std::to_string(numbers.size()) + " weights",
                      std::to_string(weights.size())};
    }
    for (std::size_t unit = 0; unit < sketches_.size(); ++unit) {
      const std::size_t each = numbers.size() / sketches_.size();
      const std::span<const double> weight = std::span{weights}.subspan(unit * each, each);
      const auto count = static_cast<std::size_t>(std::ranges::find(weight, 0.0) - weight.begin());
      sketches_[unit].restore(std::span{numbers}.subspan(unit * each, count), weight.first(count));
    }
  }

 private:
  std::size_t k_;
  std::vector<quantile_sketch> sketches_;
};

static_assert(running_statistic<running_quantiles>);

}  // namespace optscope
