// SPDX-License-Identifier: MIT
#pragma once
// Bodies of running_top.hpp.

#include <cmath>
#include <optscope/probe/running_top.hpp>
#include <string>

namespace optscope {

OPTSCOPE_INLINE bool running_top::entry::before(const entry& other) const noexcept {
  if (value != other.value) return value > other.value;
  return text != other.text ? text < other.text : position < other.position;
}

template <class T>
void running_top::add(std::span<const T> x, std::size_t text, std::size_t position) {
  for (std::size_t unit = 0; unit < x.size(); ++unit) insert(unit, {static_cast<double>(x[unit]), text, position});
}

OPTSCOPE_INLINE void running_top::merge(const running_top& other) {
  for (std::size_t i = 0; i < other.entries_.size(); ++i) {
    if (other.entries_[i].text != none) insert(i / k_, other.entries_[i]);
  }
}

OPTSCOPE_INLINE void running_top::shift_texts(std::size_t by) noexcept {
  for (entry& each : entries_) {
    if (each.text != none) each.text += by;
  }
}

OPTSCOPE_INLINE void running_top::for_each_tensor(const tensor_action& action) const {
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

OPTSCOPE_INLINE void running_top::restore(const tensor_source& source) {
  const std::size_t width = entries_.size() / k_;
  const std::vector<double> values = source("value", {width, 0});
  const std::vector<double> texts = source("text", {width, 0}), positions = source("position", {width, 0});
  if (texts.size() != values.size() || positions.size() != values.size()) {
    throw bad_input{"", "saved statistics",
                    "a text and a position for each of " + std::to_string(values.size()) + " values",
                    std::to_string(texts.size()) + " texts and " + std::to_string(positions.size()) + " positions"};
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (texts[i] == -1) continue;
    const std::size_t unit = i / (values.size() / width);
    insert(unit, {values[i], detail::saved_count(texts[i]), detail::saved_count(positions[i])});
  }
}

OPTSCOPE_INLINE void running_top::insert(std::size_t unit, const entry& found) {
  if (std::isnan(found.value)) return;
  entry* const best = entries_.data() + unit * k_;
  std::size_t at = k_;
  for (; at > 0 && found.before(best[at - 1]); --at) {
    if (at < k_) best[at] = best[at - 1];
  }
  if (at < k_) best[at] = found;
}

#ifdef OPTSCOPE_COMPILED
template void running_top::add(std::span<const float>, std::size_t, std::size_t);
template void running_top::add(std::span<const double>, std::size_t, std::size_t);
#endif

}  // namespace optscope
