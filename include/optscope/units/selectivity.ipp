// SPDX-License-Identifier: MIT
#pragma once
// Bodies of selectivity.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optscope/units/selectivity.hpp>

namespace optscope {

template <class T>
tensor<double, 2> text_averages(tensor_view<const T, 2> vectors, const std::vector<std::size_t>& text_of,
                                std::size_t texts) {
  tensor<double, 2> means{{texts, vectors.cols()}};
  std::vector<double> counts(texts);
  for (std::size_t i = 0; i < vectors.rows(); ++i) {
    counts[text_of[i]] += 1;
    for (std::size_t j = 0; j < vectors.cols(); ++j) means(text_of[i], j) += static_cast<double>(vectors(i, j));
  }
  for (std::size_t t = 0; t < texts; ++t) {
    for (double& value : means.row(t)) value /= counts[t];
  }
  return means;
}

OPTSCOPE_INLINE std::vector<double> f_statistics(tensor_view<const double, 2> means,
                                                 const std::vector<std::size_t>& category) {
  const std::size_t texts = means.rows(), groups = 1 + *std::max_element(category.begin(), category.end());
  std::vector<double> size(groups);
  for (const std::size_t c : category) size[c] += 1;
  const auto used = static_cast<double>(groups - static_cast<std::size_t>(std::count(size.begin(), size.end(), 0.0)));
  std::vector<double> result(means.cols(), std::numeric_limits<double>::quiet_NaN());
  if (used < 2 || static_cast<double>(texts) <= used) return result;
  for (std::size_t j = 0; j < means.cols(); ++j) {
    std::vector<double> mean(groups);
    double total = 0, between = 0, within = 0;
    for (std::size_t t = 0; t < texts; ++t) {
      mean[category[t]] += means(t, j) / size[category[t]];
      total += means(t, j) / static_cast<double>(texts);
    }
    for (std::size_t t = 0; t < texts; ++t) {
      between += (mean[category[t]] - total) * (mean[category[t]] - total);
      within += (means(t, j) - mean[category[t]]) * (means(t, j) - mean[category[t]]);
    }
    between /= used - 1;
    within /= static_cast<double>(texts) - used;
    result[j] = between == 0 ? 0 : between / within;
  }
  return result;
}

OPTSCOPE_INLINE std::vector<std::size_t> indices_of_largest(const std::vector<double>& values, std::size_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto key = [&](std::size_t i) {
    return std::isnan(values[i]) ? -std::numeric_limits<double>::infinity() : values[i];
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key(a) > key(b); });
  order.resize(std::min(count, order.size()));
  return order;
}

OPTSCOPE_INLINE selective_dimensions find_selective_dimensions(const std::vector<tensor_view<const float, 2>>& layers,
                                                               const std::vector<std::size_t>& text_of,
                                                               const std::vector<std::size_t>& category) {
  constexpr std::size_t most_by_layer = 10, most = 64;
  selective_dimensions result;
  if (layers.empty()) return result;
  std::vector<double> best(layers[0].cols(), std::numeric_limits<double>::quiet_NaN());
  std::vector<std::size_t> best_layer(best.size());
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    const auto means = text_averages(layers[layer], text_of, category.size());
    const std::vector<double> f = f_statistics(means.view(), category);
    for (const std::size_t d : indices_of_largest(f, most_by_layer)) {
      if (!std::isnan(f[d])) result.by_layer.push_back({.dimension = d, .layer = layer, .f = f[d]});
    }
    for (std::size_t d = 0; d < best.size(); ++d) {
      if (f[d] <= best[d] || std::isnan(f[d])) continue;
      best[d] = f[d];
      best_layer[d] = layer;
    }
  }
  for (const std::size_t d : indices_of_largest(best, most)) {
    if (!std::isnan(best[d])) result.best.push_back({.dimension = d, .layer = best_layer[d], .f = best[d]});
  }
  return result;
}

#ifdef OPTSCOPE_COMPILED
template tensor<double, 2> text_averages<float>(tensor_view<const float, 2>, const std::vector<std::size_t>&,
                                                std::size_t);
template tensor<double, 2> text_averages<double>(tensor_view<const double, 2>, const std::vector<std::size_t>&,
                                                 std::size_t);
#endif

}  // namespace optscope
