// SPDX-License-Identifier: MIT
#pragma once
// The colours that pictures and reports share: viridis for values, two hues for values below and above zero, a hue for
// a category, a shade of it for a text.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/plot/axes.hpp>
#include <span>
#include <string>

namespace optscope::plot {

/// A colour in sRGB, 8 bits per channel.
struct rgb {
  std::uint8_t red = 0, green = 0, blue = 0;

  friend bool operator==(const rgb&, const rgb&) = default;
};

/// `#rrggbb`, as gnuplot and CSS read it.
[[nodiscard]] std::string hex(rgb colour);

/// Linear in every channel: `amount` = 0 gives `from`, 1 gives `to`.
[[nodiscard]] rgb mix(rgb from, rgb to, double amount);

/// Viridis (van der Walt and Smith, 2015) at 17 equal steps. Linear in between, the eye cannot tell it from the
/// original.
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
[[nodiscard]] rgb viridis(double level);

/// ColorBrewer's RdBu from blue to red: blue below zero, nearly white at zero, red above.
inline constexpr std::array<rgb, 11> diverging_stops{{{5, 48, 97},
                                                      {33, 102, 172},
                                                      {67, 147, 195},
                                                      {146, 197, 222},
                                                      {209, 229, 240},
                                                      {247, 247, 247},
                                                      {253, 219, 199},
                                                      {244, 165, 130},
                                                      {214, 96, 77},
                                                      {178, 24, 43},
                                                      {103, 0, 31}}};

/// The diverging colour at `level` in [0, 1]; zero is at 0.5.
[[nodiscard]] rgb diverging(double level);

/// How values become colours.
struct colour_scale {
  value_range range{};
  bool diverging = false;  ///< else viridis

  [[nodiscard]] std::span<const rgb> stops() const;
};

/// The scale for values within `range`. Colours diverge where the values lie on both sides of zero, or as `diverging`
/// says; zero is then in the middle of the range.
[[nodiscard]] colour_scale scale_of(value_range range, std::optional<bool> diverging = std::nullopt);

/// The colour of a category or a series: ColorBrewer's Dark2, whose colours most colour-blind readers can tell apart.
/// Repeats after 8.
[[nodiscard]] rgb hue(std::size_t category);

/// A shade of the category's hue for one of its `members`, from dark (member 0) to light.
[[nodiscard]] rgb shade(std::size_t category, std::size_t member, std::size_t members);

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/palette.ipp>
#endif
