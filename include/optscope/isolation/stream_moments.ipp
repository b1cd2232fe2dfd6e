// SPDX-License-Identifier: MIT
#pragma once
// Bodies of stream_moments.hpp.

#include <algorithm>
#include <optscope/isolation/stream_moments.hpp>
#include <optscope/spectrum/products.hpp>

namespace optscope {

OPTSCOPE_INLINE stream_moments::stream_moments(const architecture& shape, std::size_t categories, thread_pool& pool)
    : pool_{&pool}, hidden_{shape.hidden}, of_(shape.layers) {
  for (std::size_t layer = 1; layer < shape.layers; ++layer) {
    of_[layer].resize(
        categories,
        {.count = 0, .sum = std::vector<double>(hidden_), .products = tensor<double, 2>{{hidden_, hidden_}}});
  }
}

OPTSCOPE_INLINE void stream_moments::operator()(site::resid_pre, const place& at,
                                                tensor_view<const float, 2> rows) {  // (position, hidden)
  moments& own = of_[at.layer][categories_[at.text]];
  const std::size_t first = at.first_position == 0 ? 1 : 0;
  if (rows.rows() <= first) return;
  rows_.resize({rows.rows() - first, hidden_});
  for (std::size_t i = first; i < rows.rows(); ++i) {
    std::ranges::copy(rows.row(i), rows_.row(i - first).begin());
    for (std::size_t j = 0; j < hidden_; ++j) own.sum[j] += static_cast<double>(rows(i, j));
  }
  own.count += static_cast<double>(rows_.rows());
  product::for_rows(*pool_, hidden_, [&](std::size_t begin, std::size_t count, std::size_t) {
    const tensor_view<double, 2> lower{own.products.row(begin).data(), {count, begin + count}, hidden_};
    product::atb<double>(product::columns(rows_.view(), begin, count), product::columns(rows_.view(), 0, begin + count),
                         lower, 1, 1);
  });
}

OPTSCOPE_INLINE void stream_moments::add(const stream_moments& other) {
  for (std::size_t layer = 1; layer < of_.size(); ++layer) {
    for (std::size_t c = 0; c < of_[layer].size(); ++c) {
      moments& own = of_[layer][c];
      const moments& more = other.of_[layer][c];
      own.count += more.count;
      for (std::size_t j = 0; j < hidden_; ++j) own.sum[j] += more.sum[j];
      for (std::size_t j = 0; j < own.products.size(); ++j) own.products.data()[j] += more.products.data()[j];
    }
  }
}

OPTSCOPE_INLINE std::vector<double> stream_moments::mean(std::size_t layer, std::size_t category) const {
  std::vector<double> result = of_[layer][category].sum;
  for (double& each : result) each /= of_[layer][category].count;
  return result;
}

OPTSCOPE_INLINE void stream_moments::add_spread(std::size_t layer, std::size_t category, std::span<const double> point,
                                                double weight, tensor<double, 2>& to) const {
  const moments& own = of_[layer][category];
  const std::vector<double> centre = mean(layer, category);
  for (std::size_t i = 0; i < hidden_; ++i) {
    for (std::size_t j = 0; j <= i; ++j) {
      const double value = weight * (own.products(i, j) / own.count - centre[i] * centre[j] +
                                     (centre[i] - point[i]) * (centre[j] - point[j]));
      to(i, j) += value;
      if (i != j) to(j, i) += value;
    }
  }
}

}  // namespace optscope
