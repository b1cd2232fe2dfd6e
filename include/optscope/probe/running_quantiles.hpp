// SPDX-License-Identifier: MIT
#pragma once
// Quantiles of each unit from a sketch of bounded size.

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/core/compiled.hpp>
#include <optscope/probe/running.hpp>
#include <span>
#include <vector>

namespace optscope {

/// A sketch of a stream of numbers: Karnin, Lang and Liberty, "Optimal quantile approximation in streams" (2016).
/// It keeps levels of numbers; a number at level h stands for 2^h numbers of the stream. When the memory is full, the
/// lowest level that has its share is sorted, and every second number moves one level up. With k = 200, about 600
/// numbers are kept, and the rank of a quantile is off by more than 1.33 % of the count in one case of a hundred
/// (`rank_error`, as measured for the implementation in Apache DataSketches). The smallest and the largest number are
/// exact, and up to k numbers all quantiles are. The same stream gives the same bits.
class quantile_sketch {
 public:
  explicit quantile_sketch(std::size_t k = 200);

  void reset();
  /// NaN is passed over.
  void add(double value);
  /// Gives what adding the other's numbers would give, within the error.
  void merge(const quantile_sketch& other);

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t size() const noexcept { return items_.size(); }  ///< numbers kept
  /// Calls `action(number, how many it stands for)` for each number kept, those that stand for most first.
  template <class Action>
  void for_each(Action&& action) const {
    for (std::size_t level = levels_; level-- > 0;) {
      for (const double value : of_level(level)) action(value, static_cast<double>(std::uint64_t{1} << level));
    }
  }
  /// Replaces the numbers by those that `for_each` gave, in that order, of a stream from `lowest` to `highest`. Throws
  /// `bad_input` if they are not those of a sketch.
  void restore(std::span<const double> numbers, std::span<const double> weights, double lowest, double highest);
  /// How far a rank may be off, as a share of the count, in 99 of 100 cases.
  [[nodiscard]] double rank_error() const;

  /// The smallest number at or below which a share q of the stream lies, 0 <= q <= 1; NaN if there was none.
  [[nodiscard]] double quantile(double q) const;

 private:
  static constexpr std::size_t most_levels = 48;  // 2^48 numbers
  static constexpr std::size_t least = 8;         // of a level
  static constexpr std::uint64_t seed = 0x9e3779b97f4a7c15u;

  [[nodiscard]] std::size_t capacity_of(std::size_t level, std::size_t levels) const;
  [[nodiscard]] std::size_t capacity(std::size_t levels) const;
  [[nodiscard]] std::size_t capacity();
  [[nodiscard]] std::size_t most_items() const { return capacity(most_levels) + 1; }
  [[nodiscard]] std::span<const double> of_level(std::size_t level) const;
  void compact();
  std::size_t draw() noexcept;

  std::size_t k_;
  std::vector<double> items_;                      // level by level, the highest first, so that new ones go to the end
  std::array<std::size_t, most_levels> begins_{};  // [level]: first of its numbers in `items_`
  std::size_t levels_ = 1, count_ = 0, known_levels_ = 0, known_capacity_ = 0;
  std::uint64_t bits_ = seed;
  double lowest_ = std::numeric_limits<double>::infinity(), highest_ = -lowest_;
};

/// A `quantile_sketch` of each unit; with k = 200 about 8 kB per unit.
class running_quantiles {
 public:
  explicit running_quantiles(std::size_t k = 200) : k_{k} {}

  void start(std::size_t width);
  void reset();
  /// x: float or double.
  template <class T>
  void add(std::span<const T> x, std::size_t text, std::size_t position);
  void merge(const running_quantiles& other);

  /// Throws `bad_input` for a unit that there is not.
  [[nodiscard]] const quantile_sketch& operator()(std::size_t unit) const {
    detail::require_unit(unit, sketches_.size());
    return sketches_[unit];
  }

  /// `percentile`: the 101 percentiles, 0 to 100: (unit, 101). `number` and `weight`: the numbers kept and how many
  /// each stands for: (unit, number); after the last one of a unit NaN and 0.
  void for_each_tensor(const tensor_action& action) const;
  void restore(const tensor_source& source);

 private:
  std::size_t k_;
  std::vector<quantile_sketch> sketches_;
};

static_assert(running_statistic<running_quantiles> && running_statistic<running_quantiles, double> &&
              saved_statistic<running_quantiles>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/running_quantiles.ipp>
#endif
