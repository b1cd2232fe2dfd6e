// SPDX-License-Identifier: MIT
#pragma once
// The similarity study's pictures as PNG, SVG and PDF.

#include <cstddef>
#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/plot/gnuplot.hpp>
#include <optscope/plot/study_report.hpp>
#include <vector>

namespace optscope::plot {

/// The study's pictures, to be drawn: a heat map for each of `study.matrices` (`SITE-METRIC.png` for the first of the
/// sets, `SITE-METRIC-last.png` for the other), `similarity-SITE-METRIC.png` for each of the curves, and
/// `stream-SITE-DIMENSION.png` for `dimensions`, or where that is empty for each site's three best.
[[nodiscard]] std::vector<drawing> study_pictures(const study_report& study, const std::filesystem::path& folder,
                                                  const std::vector<std::size_t>& dimensions = {});

}  // namespace optscope::plot

#ifndef OPTSCOPE_COMPILED
#include <optscope/plot/study_pictures.ipp>
#endif
