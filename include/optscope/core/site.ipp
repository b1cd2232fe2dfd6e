// SPDX-License-Identifier: MIT
#pragma once
// Bodies of site.hpp.

#include <optscope/core/site.hpp>

namespace optscope {

OPTSCOPE_INLINE std::size_t extent_of(axis which, const architecture& shape) {
  switch (which) {
    case axis::head: return shape.heads;
    case axis::hidden: return shape.hidden;
    case axis::head_dim: return shape.head_dim();
    case axis::ffn: return shape.ffn;
    case axis::vocabulary: return shape.vocabulary;
    case axis::none:
    case axis::position:
    case axis::key:
    case axis::one: break;
  }
  return 1;
}

OPTSCOPE_INLINE std::array<std::size_t, 2> inner_shape(const site_info& site, const architecture& shape) {
  if (site.layout() == site_layout::head) return {shape.heads, 1};
  return {extent_of(site.axes[1], shape), extent_of(site.axes[2], shape)};
}

OPTSCOPE_INLINE std::string axes_text(const site_info& site) {
  std::string text;
  for (const axis each : site.axes) {
    if (each == axis::none) break;
    if (!text.empty()) text += ", ";
    switch (each) {
      case axis::none: break;
      case axis::position: text += "position"; break;
      case axis::head: text += "head"; break;
      case axis::key: text += "key"; break;
      case axis::hidden: text += "hidden"; break;
      case axis::head_dim: text += "head_dim"; break;
      case axis::ffn: text += "ffn"; break;
      case axis::vocabulary: text += "vocabulary"; break;
      case axis::one: text += "1"; break;
    }
  }
  return text;
}

OPTSCOPE_INLINE std::string name_of(const site_info& site, std::size_t layer) {
  std::string name{site.name};
  if (site.per_layer()) name += "." + std::to_string(layer);
  return name;
}

}  // namespace optscope
