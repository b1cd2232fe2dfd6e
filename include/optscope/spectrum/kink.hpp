// SPDX-License-Identifier: MIT
#pragma once
// Kinks in a spectrum: its widest gap and its strongest bend.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <span>

namespace optscope {

/// A gap between neighbouring values; `count` values lie above it.
struct spectrum_gap {
  std::size_t count = 0;
  double decades = 0;    ///< log10(values[count - 1] / values[count])
  double runner_up = 0;  ///< the second largest gap in the same range, in decades
  /// Probability that the largest of this many gaps is at least as wide if values were independent draws, so that gaps
  /// are exponentially distributed with the mean of the ten to either side, whichever is wider. Neighbouring singular
  /// values repel, so this is an upper bound for smooth spectra. 1 where fewer than five gaps are on a side.
  double chance = 1;
};

/// A bend: two straight lines through log10(value) over the index, meeting at `count`. Such lines fit any curved
/// spectrum better than one does; it is a kink only where `explained` is near 1 and `misfit` is small against the
/// decades covered.
struct spectrum_bend {
  std::size_t count = 0;
  double slope_before = 0, slope_after = 0;  ///< decades per value
  double explained = 0;  ///< share of the squared deviation from one line that the second line removes
  double misfit = 0;     ///< root mean square distance from the two lines, decades
};

/// The widest gap between neighbours in log10, inside (0.2 %, 99.8 %) of the values above `floor` (absolute), if it has
/// at least 0.3 decade. Believe it if it is still there with another analyser, and moves with the number of tokens as
/// its explanation says.
[[nodiscard]] std::optional<spectrum_gap> widest_gap(std::span<const double> values, double floor);

/// The best fit of two connected lines to log10(value) over the index in the same range, at up to 512 evenly spaced
/// values; nothing for fewer than 8 of them.
[[nodiscard]] std::optional<spectrum_bend> strongest_bend(std::span<const double> values, double floor);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/kink.ipp>
#endif
