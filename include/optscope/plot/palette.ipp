// SPDX-License-Identifier: MIT
#pragma once
// Bodies of palette.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/plot/palette.hpp>

namespace optscope::plot {

OPTSCOPE_INLINE std::string hex(rgb colour) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text = "#";
  for (const std::uint8_t channel : {colour.red, colour.green, colour.blue}) {
    text += digits[channel >> 4];
    text += digits[channel & 15];
  }
  return text;
}

OPTSCOPE_INLINE rgb mix(rgb from, rgb to, double amount) {
  const auto channel = [amount](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(std::lround(a + (b - a) * std::clamp(amount, 0.0, 1.0)));
  };
  return {channel(from.red, to.red), channel(from.green, to.green), channel(from.blue, to.blue)};
}

OPTSCOPE_INLINE rgb viridis(double level) {
  const double place = std::clamp(level, 0.0, 1.0) * (viridis_stops.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(place), viridis_stops.size() - 2);
  return mix(viridis_stops[below], viridis_stops[below + 1], place - static_cast<double>(below));
}

OPTSCOPE_INLINE rgb hue(std::size_t category) {
  constexpr std::array<rgb, 8> dark2{{{27, 158, 119},
                                      {217, 95, 2},
                                      {117, 112, 179},
                                      {231, 41, 138},
                                      {102, 166, 30},
                                      {230, 171, 2},
                                      {166, 118, 29},
                                      {102, 102, 102}}};
  return dark2[category % dark2.size()];
}

OPTSCOPE_INLINE rgb shade(std::size_t category, std::size_t member, std::size_t members) {
  const double place = members < 2 ? 0.5 : static_cast<double>(member) / static_cast<double>(members - 1);
  return place < 0.5 ? mix(hue(category), {0, 0, 0}, 0.9 * (0.5 - place))
                     : mix(hue(category), {255, 255, 255}, 0.9 * (place - 0.5));
}

}  // namespace optscope::plot
