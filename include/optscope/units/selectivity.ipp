// SPDX-License-Identifier: MIT
#pragma once
// Bodies of selectivity.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optscope/core/permutation.hpp>
#include <optscope/units/selectivity.hpp>
#include <span>
#include <utility>

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

namespace detail {

/// The even (`half` 0) or odd texts of each category; all of them for `half` 2.
inline std::vector<std::size_t> texts_of_half(const std::vector<std::size_t>& category, std::size_t half) {
  std::vector<std::size_t> seen(category.empty() ? 0 : 1 + *std::ranges::max_element(category)), result;
  for (std::size_t t = 0; t < category.size(); ++t) {
    if (seen[category[t]]++ % 2 == half || half == 2) result.push_back(t);
  }
  return result;
}

inline tensor<double, 2> rows_of(const tensor<double, 2>& all, const std::vector<std::size_t>& which) {
  tensor<double, 2> result{{which.size(), all.extent(1)}};
  for (std::size_t i = 0; i < which.size(); ++i) std::ranges::copy(all.row(which[i]), result.row(i).data());
  return result;
}

/// Largest F over all columns of all layers for each exchange of the labels, the real ones first. `layers` has means of
/// the texts, (text, width); they are made standard.
inline std::vector<double> largest_f(std::vector<tensor<double, 2>> layers, const std::vector<std::size_t>& category,
                                     std::size_t most, std::uint64_t seed) {
  const std::size_t texts = category.size(), groups = 1 + *std::ranges::max_element(category);
  std::vector<double> size(groups);
  for (const std::size_t c : category) size[c] += 1;
  const auto used = static_cast<double>(groups - static_cast<std::size_t>(std::ranges::count(size, 0.0)));
  for (tensor<double, 2>& means : layers) {  // every column to mean 0 and length 1, or 0
    for (std::size_t j = 0; j < means.extent(1); ++j) {
      double mean = 0, square = 0, largest = 0;
      for (std::size_t t = 0; t < texts; ++t) mean += means(t, j) / static_cast<double>(texts);
      for (std::size_t t = 0; t < texts; ++t) {
        largest = std::max(largest, std::abs(means(t, j)));
        means(t, j) -= mean;
        square += means(t, j) * means(t, j);
      }
      const bool varies = std::sqrt(square) > 1e-12 * largest;
      for (std::size_t t = 0; t < texts; ++t) means(t, j) *= varies ? 1 / std::sqrt(square) : 0;
    }
  }
  std::vector<double> result, between, sum;
  const double freedom = static_cast<double>(texts) - used;
  for_each_labelling(category, most, seed, [&](std::span<const std::size_t> labels) {
    double share = 0;  // of the variance of a column, between categories
    for (const tensor<double, 2>& means : layers) {
      between.assign(means.extent(1), 0);
      for (std::size_t c = 0; c < groups; ++c) {
        sum.assign(means.extent(1), 0);
        for (std::size_t t = 0; t < texts; ++t) {
          if (labels[t] != c) continue;
          const auto row = means.row(t);
          for (std::size_t j = 0; j < sum.size(); ++j) sum[j] += row[j];
        }
        for (std::size_t j = 0; j < sum.size() && size[c] > 0; ++j) between[j] += sum[j] * sum[j] / size[c];
      }
      share = std::max(share, *std::ranges::max_element(between));
    }
    result.push_back(share < 1 ? share / (used - 1) / ((1 - share) / freedom)
                               : std::numeric_limits<double>::infinity());
  });
  return result;
}

}  // namespace detail

OPTSCOPE_INLINE selective_dimensions find_selective_dimensions(const std::vector<tensor_view<const float, 2>>& layers,
                                                               const std::vector<std::size_t>& text_of,
                                                               const std::vector<std::size_t>& category,
                                                               std::size_t most, std::uint64_t seed) {
  constexpr std::size_t most_by_layer = 10, most_in_all = 64;
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  selective_dimensions result;
  result.level = none;
  if (layers.empty() || category.empty()) return result;
  std::vector<std::size_t> size(1 + *std::ranges::max_element(category));
  for (const std::size_t c : category) ++size[c];
  result.halves = std::ranges::all_of(size, [](std::size_t texts) { return texts == 0 || texts >= 4; });
  const std::vector<std::size_t> chosen_on = detail::texts_of_half(category, result.halves ? 0 : 2),
                                 others = detail::texts_of_half(category, 1);
  std::vector<std::size_t> labels, other_labels;
  for (const std::size_t t : chosen_on) labels.push_back(category[t]);
  for (const std::size_t t : others) other_labels.push_back(category[t]);

  std::vector<tensor<double, 2>> means;
  std::vector<std::vector<double>> f, f_of_others;  // [layer][dimension]
  for (const tensor_view<const float, 2> vectors : layers) {
    const tensor<double, 2> all = text_averages(vectors, text_of, category.size());
    means.push_back(detail::rows_of(all, chosen_on));
    f.push_back(f_statistics(std::as_const(means.back()).view(), labels));
    f_of_others.push_back(result.halves ? f_statistics(detail::rows_of(all, others).view(), other_labels)
                                        : std::vector<double>(all.extent(1), none));
  }
  std::vector<double> null;  // sorted
  if (std::ranges::any_of(f[0], [](double each) { return !std::isnan(each); })) {
    null = detail::largest_f(std::move(means), labels, most, seed);
    std::ranges::sort(null);
    result.labelings = null.size();
    const auto rank = static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(null.size())));
    result.level = null[std::min(rank, null.size()) - 1] * (1 + 1e-9);  // above itself, whatever the rounding
  }
  const auto described = [&](std::size_t dimension, std::size_t layer) {
    const double value = f[layer][dimension];
    const auto below = std::ranges::lower_bound(null, value * (1 - 1e-9)) - null.begin();  // rounding
    const auto reached = static_cast<std::ptrdiff_t>(null.size()) - below;
    return selective_dimension{.dimension = dimension,
                               .layer = layer,
                               .f = value,
                               .f_of_others = f_of_others[layer][dimension],
                               .p = static_cast<double>(reached) / static_cast<double>(null.size())};
  };
  std::vector<double> best(f[0].size(), none);
  std::vector<std::size_t> best_layer(best.size());
  for (std::size_t layer = 0; layer < layers.size(); ++layer) {
    for (const std::size_t d : indices_of_largest(f[layer], most_by_layer)) {
      if (!std::isnan(f[layer][d])) result.by_layer.push_back(described(d, layer));
    }
    for (std::size_t d = 0; d < best.size(); ++d) {
      if (f[layer][d] <= best[d] || std::isnan(f[layer][d])) continue;
      best[d] = f[layer][d];
      best_layer[d] = layer;
    }
  }
  for (const std::size_t d : indices_of_largest(best, most_in_all)) {
    if (!std::isnan(best[d])) result.best.push_back(described(d, best_layer[d]));
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
