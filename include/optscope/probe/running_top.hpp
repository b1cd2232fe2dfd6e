// SPDX-License-Identifier: MIT
#pragma once
// The largest values of each unit, with the text and position of each.

#include <cstddef>
#include <limits>
#include <optscope/core/compiled.hpp>
#include <optscope/probe/running.hpp>
#include <span>
#include <vector>

namespace optscope {

/// The k largest values of each unit; of equal values those of the earlier text and position. NaN is passed over.
class running_top {
 public:
  struct entry {
    double value = -std::numeric_limits<double>::infinity();
    std::size_t text = none, position = none;  ///< `none`: fewer than k values have passed
    [[nodiscard]] bool before(const entry& other) const noexcept;
  };
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  explicit running_top(std::size_t k = 10) : k_{k} {}

  void start(std::size_t width) { entries_.assign(width * k_, entry{}); }
  void reset() { start(entries_.size() / k_); }
  /// x: float or double.
  template <class T>
  void add(std::span<const T> x, std::size_t text, std::size_t position);
  void merge(const running_top& other);
  void shift_texts(std::size_t by) noexcept;

  /// (k) The largest first. Throws `bad_input` for a unit that there is not.
  [[nodiscard]] std::span<const entry> operator()(std::size_t unit) const {
    detail::require_unit(unit, entries_.size() / k_);
    return std::span{entries_}.subspan(unit * k_, k_);
  }

  /// Text and position are -1 where fewer than k values have passed.
  void for_each_tensor(const tensor_action& action) const;
  void restore(const tensor_source& source);

 private:
  void insert(std::size_t unit, const entry& found);

  std::size_t k_;
  std::vector<entry> entries_;  // (unit, k)
};

static_assert(running_statistic<running_top> && running_statistic<running_top, double> && saved_statistic<running_top>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/running_top.ipp>
#endif
