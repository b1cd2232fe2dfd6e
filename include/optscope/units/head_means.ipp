// SPDX-License-Identifier: MIT
#pragma once
// Bodies of head_means.hpp.

#include <optscope/units/head_means.hpp>

namespace optscope {

OPTSCOPE_INLINE head_means::head_means(const architecture& shape, const text_groups& groups)
    : shape_{shape}, groups_{groups}, means_(groups.categories() * shape.layers * shape.hidden) {}

OPTSCOPE_INLINE void head_means::operator()(site::z, const place& at, tensor_view<const float, 3> z) {
  const text_part& part = parts_[at.text];
  double* const mean = means_.data() + first(part.category, at.layer);
  const double weight = 1 / static_cast<double>(part.text_tokens * groups_.texts(part.category));
  for (std::size_t i = part.skip; i < z.rows(); ++i) {
    const auto row = z.row(i);
    for (std::size_t j = 0; j < row.size(); ++j) mean[j] += weight * static_cast<double>(row[j]);
  }
}

}  // namespace optscope
