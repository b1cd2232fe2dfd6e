// SPDX-License-Identifier: MIT
#pragma once
// How well single dimensions tell the categories of texts apart.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optscope/core/tensor.hpp>
#include <vector>

namespace optscope {

/// Mean vector of each text: (text, width) from vectors (vector, width) whose texts are `text_of` [vector].
template <class T>
[[nodiscard]] tensor<double, 2> text_averages(tensor_view<const T, 2> vectors, const std::vector<std::size_t>& text_of,
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

/// F statistic of one-way analysis of variance, for every column of `means` (text, width) with the text as the unit:
/// variance between the categories' means over variance within categories. 0 where nothing varies between categories,
/// infinity where nothing varies within. Needs at least two categories and more texts than categories, else all NaN.
[[nodiscard]] inline std::vector<double> f_statistics(tensor_view<const double, 2> means,
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

/// Indices of the `count` largest values, largest first; equal ones by index, NaN last.
[[nodiscard]] inline std::vector<std::size_t> largest(const std::vector<double>& values, std::size_t count) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto key = [&](std::size_t i) {
    return std::isnan(values[i]) ? -std::numeric_limits<double>::infinity() : values[i];
  };
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return key(a) > key(b); });
  order.resize(std::min(count, order.size()));
  return order;
}

}  // namespace optscope
