// SPDX-License-Identifier: MIT
#pragma once
// Bodies of running_runs.hpp.

#include <algorithm>
#include <optscope/probe/running_runs.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE std::size_t saved_count(double value) {
  constexpr double most = 9007199254740992;  // 2^53: all counts below it are exact
  if (!(value >= 0 && value < most)) throw bad_input{"", "saved statistics", "a count", std::to_string(value)};
  return static_cast<std::size_t>(value);
}

OPTSCOPE_INLINE void require_saved_shape(const std::string& name, std::span<const std::size_t> found,
                                         std::span<const std::size_t> expected) {
  const auto fits = [](std::size_t is, std::size_t wanted) { return wanted == 0 || is == wanted; };
  if (std::ranges::equal(found, expected, fits)) return;
  const auto text = [](std::span<const std::size_t> shape) {
    std::string all;
    for (const std::size_t extent : shape) all += (all.empty() ? "" : ", ") + std::to_string(extent);
    return "(" + all + ")";
  };
  std::string wanted = "shape " + text(expected);
  if (std::ranges::count(expected, std::size_t{0}) != 0) wanted += ", any extent in place of 0";
  throw bad_input{"", "tensor " + name, std::move(wanted), text(found)};
}

OPTSCOPE_INLINE void refuse_missing_tensor(const std::string& name) {
  throw bad_input{"", "tensor " + name, "saved statistics", "no such tensor"};
}

OPTSCOPE_INLINE void require_unit(std::size_t unit, std::size_t units) {
  if (unit < units) return;
  throw bad_input{"", "running statistics", "a unit below " + std::to_string(units), std::to_string(unit)};
}

OPTSCOPE_INLINE bool running_runs::wants(const site_info& site, std::size_t layer) const {
  return !site.per_layer() || !layers_ || std::ranges::count(*layers_, layer) != 0;
}

OPTSCOPE_INLINE void running_runs::check_kept(const site_info& site, std::size_t layer) const {
  const std::string item = "running statistics of " + std::string{site.name};
  if (!shape_) throw bad_input{"", item, "a run before they are read", "none"};
  const std::size_t layers = site.per_layer() ? shape_->layers : 1;
  if (layer >= layers) throw bad_input{"", item, "a layer below " + std::to_string(layers), std::to_string(layer)};
  if (!wants(site, layer)) {
    throw bad_input{"", item, "a layer that is kept", std::to_string(layer) + ", which only_layers() left out"};
  }
}

OPTSCOPE_INLINE void running_runs::set_shape(const architecture& shape) {
  if (shape_ && *shape_ != shape) {
    const auto text = [](const architecture& of) {
      return describe(of) + ", vocabulary " + std::to_string(of.vocabulary);
    };
    throw bad_input{"", "running statistics", "those of one model, " + text(*shape_), "a model with " + text(shape)};
  }
  shape_ = shape;
}

OPTSCOPE_INLINE void running_runs::begin(const run_plan& plan) {
  set_shape(plan.shape);
  for (const std::size_t layer : layers_.value_or(std::vector<std::size_t>{})) {
    if (layer < plan.shape.layers) continue;
    throw bad_input{"", "running statistics", "layers below " + std::to_string(plan.shape.layers),
                    std::to_string(layer)};
  }
  if (!plan.continues) first_text_ = next_text_;
  next_text_ = first_text_ + plan.lengths.size();
  rows_.clear();
  for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
    rows_.push_back(positions_.of(plan.total(text)));
    std::erase_if(rows_[text], [&](std::size_t position) { return position < plan.first_position(text); });
  }
}

}  // namespace optscope::detail
