// SPDX-License-Identifier: MIT
#pragma once
// Bodies of where.hpp.

#include <algorithm>
#include <optscope/probe/where.hpp>

namespace optscope {
namespace detail {
/// Such as `layers 3 4`, at most eight entries.
inline std::string list_text(const char* what, const std::vector<std::size_t>& list) {
  constexpr std::size_t most = 8;
  std::string text = what;
  if (list.empty()) return text + " none";
  for (std::size_t i = 0; i < list.size() && i < most; ++i) text += " " + std::to_string(list[i]);
  return list.size() > most ? text + " ..." : text;
}
}  // namespace detail

OPTSCOPE_INLINE where& where::set(std::optional<indices>& list, indices values) {
  std::ranges::sort(values);
  values.erase(std::unique(values.begin(), values.end()), values.end());
  list = std::move(values);
  return *this;
}

OPTSCOPE_INLINE where& where::at(positions which) {
  positions_ = std::move(which);
  return *this;
}

OPTSCOPE_INLINE where& where::mask(rule chosen) {
  mask_ = std::move(chosen);
  return *this;
}

OPTSCOPE_INLINE std::string where::text() const {
  std::string result;
  const auto add = [&](const char* what, const std::optional<indices>& list) {
    if (list) result += ", " + detail::list_text(what, *list);
  };
  add("texts", texts_);
  add("layers", layers_);
  add("heads", heads_);
  add("units", units_);
  if (positions_) result += ", at some positions";
  if (mask_) result += ", by a mask";
  return result;
}

OPTSCOPE_INLINE bool where::has_layer(std::size_t layer) const {
  return !layers_ || std::ranges::count(*layers_, layer) != 0;
}

OPTSCOPE_INLINE void where::check(const site_info& site, const run_plan& plan, const std::string& item) const {
  const bool by_head = site.rank() == 3;
  const auto check = [&](const char* what, const std::optional<indices>& list, bool allowed, std::size_t extent) {
    if (!list) return;
    if (!allowed) {
      throw bad_input{"", item, std::string{"no "} + what + ": " + std::string{site.name} + " has none",
                      detail::list_text(what, *list)};
    }
    for (const std::size_t index : *list) {
      if (index < extent) continue;
      throw bad_input{"", item, std::string{what} + " below " + std::to_string(extent), std::to_string(index)};
    }
  };
  check("texts", texts_, true, plan.lengths.size());
  check("layers", layers_, site.per_layer(), plan.shape.layers);
  check("heads", heads_, by_head, plan.shape.heads);
  if (site.layout() == site_layout::head) return;  // units are keys, of which each position has another number
  const auto inner = inner_shape(site, plan.shape);
  check("units", units_, true, by_head ? inner[1] : inner[0]);
}

OPTSCOPE_INLINE where::indices where::rows_of(const run_plan& plan, std::size_t text) const {
  indices rows;
  if (plan.lengths[text] == 0 || (texts_ && std::ranges::count(*texts_, text) == 0)) return rows;
  const std::size_t first = plan.first_position(text), end = plan.total(text);
  for (const std::size_t row : (positions_ ? *positions_ : positions::all()).of(end)) {
    if (row >= first && row < end) rows.push_back(row);
  }
  return rows;
}

OPTSCOPE_INLINE where::indices where::heads_of(std::size_t heads) const {
  if (heads_) return *heads_;
  return positions::all().of(heads);
}

}  // namespace optscope
