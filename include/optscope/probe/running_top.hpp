// SPDX-License-Identifier: MIT
#pragma once
// The largest values of each unit, with the text and position of each.

#include <cstddef>
#include <limits>
#include <optscope/probe/running.hpp>
#include <span>
#include <vector>

namespace optscope {

/// The k largest values of each unit, of equal ones those of the earlier text and position. NaN is passed over.
class running_top {
 public:
  struct entry {
    double value = -std::numeric_limits<double>::infinity();
    std::size_t text = none, position = none;  ///< `none`: fewer than k values have passed
    [[nodiscard]] bool before(const entry& other) const noexcept {
      if (value != other.value) return value > other.value;
      return text != other.text ? text < other.text : position < other.position;
    }
  };
  static constexpr std::size_t none = static_cast<std::size_t>(-1);

  explicit running_top(std::size_t k = 10) : k_{k} {}

  void start(std::size_t width) { entries_.assign(width * k_, entry{}); }
  void reset() { start(entries_.size() / k_); }

  template <class T>
  void add(std::span<const T> x, std::size_t text, std::size_t position) {
    for (std::size_t unit = 0; unit < x.size(); ++unit) {
      insert(unit, {static_cast<double>(x[unit]), text, position});
    }
  }
  void merge(const running_top& other) {
    for (std::size_t i = 0; i < other.entries_.size(); ++i) {
      if (other.entries_[i].text != none) insert(i / k_, other.entries_[i]);
    }
  }
  void shift_texts(std::size_t by) noexcept {
    for (entry& each : entries_) each.text += each.text == none ? 0 : by;
  }

  /// (k) The largest first.
  [[nodiscard]] std::span<const entry> operator()(std::size_t unit) const {
    return std::span{entries_}.subspan(unit * k_, k_);
  }

  /// Text and position are -1 where fewer than k values have passed.
  template <class Action>
  void for_each_tensor(Action&& action) const {
    const std::size_t width = entries_.size() / k_;
    const auto number = [](std::size_t index) { return index == none ? -1.0 : static_cast<double>(index); };
    std::vector<double> values, texts, positions;
    for (const entry& each : entries_) {
      values.push_back(each.value);
      texts.push_back(number(each.text));
      positions.push_back(number(each.position));
    }
    action("value", {width, k_}, values);
    action("text", {width, k_}, texts);
    action("position", {width, k_}, positions);
  }
  template <class ValuesOf>
  void restore(ValuesOf&& values_of) {
    const std::vector<std::size_t> shape{entries_.size() / k_, 0};
    const std::vector<double> values = values_of("value", shape);
    const std::vector<double> texts = values_of("text", shape), positions = values_of("position", shape);
    if (texts.size() != values.size() || positions.size() != values.size()) {
      throw bad_input{"", "saved statistics", "a text and a position for each value", "others"};
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (texts[i] == -1) continue;
      insert(i / (values.size() / shape[0]),
             {values[i], detail::saved_count(texts[i]), detail::saved_count(positions[i])});
    }
  }

 private:
  void insert(std::size_t unit, const entry& found) {
    entry* const best = entries_.data() + unit * k_;
    std::size_t at = k_;
    for (; at > 0 && found.before(best[at - 1]); --at) {
      if (at < k_) best[at] = best[at - 1];
    }
    if (at < k_ && found.value == found.value) best[at] = found;
  }

  std::size_t k_;
  std::vector<entry> entries_;  // (unit, k)
};

static_assert(running_statistic<running_top>);

}  // namespace optscope
