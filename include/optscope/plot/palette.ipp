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

namespace detail {
inline rgb colour_at(std::span<const rgb> stops, double level) {
  const double place = std::clamp(level, 0.0, 1.0) * static_cast<double>(stops.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(place), stops.size() - 2);
  return mix(stops[below], stops[below + 1], place - static_cast<double>(below));
}
}  // namespace detail

OPTSCOPE_INLINE rgb viridis(double level) { return detail::colour_at(viridis_stops, level); }
OPTSCOPE_INLINE rgb diverging(double level) { return detail::colour_at(diverging_stops, level); }

OPTSCOPE_INLINE std::span<const rgb> colour_scale::stops() const {
  if (diverging) return diverging_stops;
  return viridis_stops;
}

OPTSCOPE_INLINE colour_scale scale_of(value_range range, std::optional<bool> diverging) {
  constexpr double rounding = 1e-5;  // of a value that is meant to be zero, relative to the others
  const double largest = std::max(std::abs(range.low), std::abs(range.high));
  const bool both_sides = range.low < -rounding * largest && range.high > rounding * largest;
  if (!diverging.value_or(both_sides)) return {.range = range, .diverging = false};
  return {.range = {.low = -largest, .high = largest}, .diverging = true};
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
