// SPDX-License-Identifier: MIT
#pragma once
// Bodies of units.hpp.

#include <optscope/units/units.hpp>

namespace optscope {

OPTSCOPE_INLINE std::size_t unit_table::count(unit_kind kind) const noexcept {
  switch (kind) {
    case unit_kind::head: return heads_;
    case unit_kind::neuron: return neurons_;
    case unit_kind::direction: return directions_;
    default: return 1;
  }
}

OPTSCOPE_INLINE std::size_t unit_table::first(unit_kind kind, std::size_t layer) const noexcept {
  const std::size_t begin = layer * per_layer();
  switch (kind) {
    case unit_kind::head: return begin + first_head();
    case unit_kind::neuron: return begin + first_neuron();
    case unit_kind::direction: return begin + first_direction();
    default: return begin + static_cast<std::size_t>(kind);
  }
}

OPTSCOPE_INLINE unit unit_table::operator[](std::size_t number) const noexcept {
  const std::size_t layer = number / per_layer(), place = number % per_layer();
  if (place < first_head()) return {.kind = static_cast<unit_kind>(place), .layer = layer, .index = 0};
  if (place < first_neuron()) return {.kind = unit_kind::head, .layer = layer, .index = place - first_head()};
  if (place < first_direction()) return {.kind = unit_kind::neuron, .layer = layer, .index = place - first_neuron()};
  return {.kind = unit_kind::direction, .layer = layer, .index = place - first_direction()};
}

OPTSCOPE_INLINE std::vector<std::size_t> unit_table::all(unit_kind kind) const {
  std::vector<std::size_t> numbers;
  for (std::size_t layer = 0; layer < layers_; ++layer) {
    for (std::size_t i = 0; i < count(kind); ++i) numbers.push_back(first(kind, layer) + i);
  }
  return numbers;
}

}  // namespace optscope
