// SPDX-License-Identifier: MIT
#pragma once
// The colours that pictures and reports share: viridis for values, a hue for a category, a shade of it for a text.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

namespace optscope::plot {

/// A colour of the screen, 8 bits a channel.
struct rgb {
  std::uint8_t red = 0, green = 0, blue = 0;

  friend bool operator==(const rgb&, const rgb&) = default;
};

/// `#rrggbb`, as gnuplot and CSS read it.
[[nodiscard]] inline std::string hex(rgb colour) {
  constexpr char digits[] = "0123456789abcdef";
  std::string text = "#";
  for (const std::uint8_t channel : {colour.red, colour.green, colour.blue}) {
    text += digits[channel >> 4];
    text += digits[channel & 15];
  }
  return text;
}

/// `amount` = 0 gives `from`, 1 gives `to`.
[[nodiscard]] inline rgb mix(rgb from, rgb to, double amount) {
  const auto channel = [amount](std::uint8_t a, std::uint8_t b) {
    return static_cast<std::uint8_t>(std::lround(a + (b - a) * std::clamp(amount, 0.0, 1.0)));
  };
  return {channel(from.red, to.red), channel(from.green, to.green), channel(from.blue, to.blue)};
}

/// Viridis at 17 equal steps; between them linear, which no eye tells from the original (van der Walt and Smith, 2015).
inline constexpr std::array<rgb, 17> viridis_stops{{{68, 1, 84},
                                                    {72, 24, 106},
                                                    {71, 45, 123},
                                                    {66, 64, 134},
                                                    {59, 82, 139},
                                                    {51, 99, 141},
                                                    {44, 114, 142},
                                                    {38, 130, 142},
                                                    {33, 145, 140},
                                                    {31, 160, 136},
                                                    {40, 174, 128},
                                                    {63, 188, 115},
                                                    {94, 201, 98},
                                                    {132, 212, 75},
                                                    {173, 220, 48},
                                                    {216, 226, 25},
                                                    {253, 231, 37}}};

/// Viridis at `level` in [0, 1].
[[nodiscard]] inline rgb viridis(double level) {
  const double place = std::clamp(level, 0.0, 1.0) * (viridis_stops.size() - 1);
  const auto below = std::min(static_cast<std::size_t>(place), viridis_stops.size() - 2);
  return mix(viridis_stops[below], viridis_stops[below + 1], place - static_cast<double>(below));
}

/// Hue of a category or a series: ColorBrewer's Dark2, which stays apart for most colour-blind readers; repeats
/// after 8.
[[nodiscard]] inline rgb hue(std::size_t category) {
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

/// The hue of a category from dark (member 0) to light (the last of `members`).
[[nodiscard]] inline rgb shade(std::size_t category, std::size_t member, std::size_t members) {
  const double place = members < 2 ? 0.5 : static_cast<double>(member) / static_cast<double>(members - 1);
  return place < 0.5 ? mix(hue(category), {0, 0, 0}, 0.9 * (0.5 - place))
                     : mix(hue(category), {255, 255, 255}, 0.9 * (place - 0.5));
}

/// Consecutive rows, lines or texts that belong together.
struct group {
  std::string name;
  std::size_t size = 0;
};

}  // namespace optscope::plot
