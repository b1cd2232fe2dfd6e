// SPDX-License-Identifier: MIT
#pragma once
// Bodies of overlaps.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optscope/spectrum/directions.hpp>
#include <optscope/spectrum/overlaps.hpp>
#include <vector>

namespace optscope {

OPTSCOPE_INLINE subspace_overlaps overlaps_of(std::span<const block_spectrum* const> spectra, block_side side) {
  const auto rows = [&](std::size_t i) {
    return (side == block_side::writes ? spectra[i]->writes : spectra[i]->reads).rows.view();
  };
  const std::size_t count = spectra.size();
  std::size_t most = 0;
  for (std::size_t i = 0; i < count; ++i) most = std::max<std::size_t>(most, rows(i).rows());
  if (most == 0) return {};
  subspace_overlaps found{.mean = tensor<float, 2>{{count, count}}, .angles = tensor<double, 3>{{count, count, most}}};
  std::fill_n(found.angles.data(), found.angles.size(), std::numeric_limits<double>::quiet_NaN());
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      const std::vector<double> angles = principal_angles(rows(i), rows(j));
      double sum = 0;
      for (std::size_t a = 0; a < angles.size(); ++a) {
        found.angles(i, j, a) = found.angles(j, i, a) = angles[a];
        sum += std::cos(angles[a]) * std::cos(angles[a]);
      }
      const double mean = angles.empty() ? 0 : sum / static_cast<double>(angles.size());
      found.mean(i, j) = found.mean(j, i) = static_cast<float>(mean);
    }
  }
  return found;
}

}  // namespace optscope
