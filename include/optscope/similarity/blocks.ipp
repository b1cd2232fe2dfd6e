// SPDX-License-Identifier: MIT
#pragma once
// Bodies of blocks.hpp.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <optscope/core/permutation.hpp>
#include <optscope/core/students_quantile.hpp>
#include <optscope/similarity/blocks.hpp>
#include <span>
#include <utility>

namespace optscope {
namespace detail {

template <class T>
tensor<double, 2> mean_over_vectors(tensor_view<const T, 2> matrix, const vector_labels& labels) {
  const std::size_t texts = labels.category.size();
  tensor<double, 2> sums{{texts, texts}}, counts{{texts, texts}};
  for (std::size_t i = 0; i < matrix.rows(); ++i) {
    for (std::size_t j = 0; j < matrix.rows(); ++j) {
      if (i == j) continue;
      sums(labels.text[i], labels.text[j]) += static_cast<double>(matrix(i, j));
      counts(labels.text[i], labels.text[j]) += 1;
    }
  }
  for (std::size_t i = 0; i < texts * texts; ++i) sums.data()[i] /= counts.data()[i];  // 0 / 0: NaN, no such pair
  return sums;
}

using label_statistic = std::function<double(const tensor<double, 2>&, std::span<const std::size_t>)>;

/// In how many ways categories of the same number of texts can exchange their names: this changes no statistic.
inline double renamings(const std::vector<std::size_t>& category) {
  std::vector<std::size_t> size;
  for (const std::size_t c : category) {
    size.resize(std::max(size.size(), c + 1));
    ++size[c];
  }
  std::ranges::sort(size);
  double ways = 1, alike = 1;
  for (std::size_t c = 1; c < size.size(); ++c) {
    alike = size[c] == size[c - 1] && size[c] > 0 ? alike + 1 : 1;
    ways *= alike;
  }
  return ways;
}

/// Tests a statistic of each matrix (text, text) under exchange of the labels. A statistic that is NaN is not tested.
inline std::vector<label_test> test_together(const std::vector<tensor<double, 2>>& matrices,
                                             const std::vector<std::size_t>& category, const label_statistic& statistic,
                                             std::size_t most, std::uint64_t seed) {
  std::vector<label_test> result(matrices.size());
  std::vector<std::size_t> tested;
  std::vector<std::vector<double>> values;  // [tested][labelling]
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    if (!std::isnan(statistic(matrices[i], category))) tested.push_back(i);
  }
  if (tested.empty()) return result;
  values.resize(tested.size());
  const labelling_count compared = for_each_labelling(category, most, seed, [&](std::span<const std::size_t> labels) {
    for (std::size_t t = 0; t < tested.size(); ++t) values[t].push_back(statistic(matrices[tested[t]], labels));
  });
  const auto count = static_cast<double>(compared.count);
  std::vector<double> furthest(compared.count, -std::numeric_limits<double>::infinity());
  for (std::size_t t = 0; t < tested.size(); ++t) {
    label_test& test = result[tested[t]];
    double mean = 0, square = 0, largest = 0;
    for (const double value : values[t]) {
      mean += value / count;
      largest = std::max(largest, std::abs(value));
    }
    for (const double value : values[t]) square += (value - mean) * (value - mean) / count;
    const double deviation = std::sqrt(square), slack = 1e-12 * largest;  // rounding
    const double real = values[t][0] - slack;
    const auto reached = std::ranges::count_if(values[t], [&](double value) { return value >= real; });
    test = {.p = static_cast<double>(reached) / count,
            .p_over_all = 1,
            .p_holm = 1,
            .smallest_p = std::min(1.0, renamings(category) / compared.possible),
            .labelings = compared.count,
            .exact = compared.exact};
    for (std::size_t l = 0; l < compared.count; ++l) {
      values[t][l] = deviation > slack ? (values[t][l] - mean) / deviation : 0;
      furthest[l] = std::max(furthest[l], values[t][l]);
    }
  }
  for (std::size_t t = 0; t < tested.size(); ++t) {
    const double real = values[t][0] - 1e-9;
    const auto reached = std::ranges::count_if(furthest, [&](double value) { return value >= real; });
    result[tested[t]].p_over_all = static_cast<double>(reached) / count;
    result[tested[t]].score = values[t][0];
  }
  const auto at_level = furthest.begin() + static_cast<std::ptrdiff_t>(std::ceil(0.95 * count)) - 1;
  std::ranges::nth_element(furthest, at_level);
  for (const std::size_t t : tested) result[t].level = *at_level + 1e-9;  // above itself, whatever the rounding
  std::ranges::sort(tested, {}, [&](std::size_t i) { return result[i].p; });
  double corrected = 0;
  for (std::size_t t = 0; t < tested.size(); ++t) {
    corrected = std::max(corrected, std::min(1.0, result[tested[t]].p * static_cast<double>(tested.size() - t)));
    result[tested[t]].p_holm = corrected;
  }
  return result;
}

/// Mean over pairs of texts of one category, and over pairs of texts of two.
struct pair_means {
  double within = 0, between = 0;
};
inline pair_means category_means(const tensor<double, 2>& means, std::span<const std::size_t> category) {
  double sums[2] = {}, counts[2] = {};
  for (std::size_t i = 0; i < category.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const int same = category[i] == category[j] ? 0 : 1;
      sums[same] += means(i, j);
      counts[same] += 1;
    }
  }
  return {sums[0] / counts[0], sums[1] / counts[1]};
}

/// How often a value of `a` is larger than one of `b`, equal ones counting half; NaN if one is empty. Sorts them.
inline double share_larger(std::vector<double>& a, std::vector<double>& b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  double larger = 0;
  std::size_t below = 0, up_to = 0;
  for (const double value : a) {
    while (below < b.size() && b[below] < value) ++below;
    while (up_to < b.size() && b[up_to] <= value) ++up_to;
    larger += static_cast<double>(below + up_to) / 2;
  }
  return larger / static_cast<double>(a.size()) / static_cast<double>(b.size());
}

/// Without one text, or without none if `left_out` is none of them.
inline double pair_effect(const tensor<double, 2>& means, const std::vector<std::size_t>& category,
                          std::size_t left_out, bool distance) {
  std::vector<double> within, between;
  for (std::size_t i = 0; i < category.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (i == left_out || j == left_out) continue;
      (category[i] == category[j] ? within : between).push_back(means(i, j));
    }
  }
  return distance ? share_larger(between, within) : share_larger(within, between);
}

inline void add_effect(block_summary& of, const tensor<double, 2>& means, const std::vector<std::size_t>& category,
                       bool distance) {
  const std::size_t texts = category.size();
  const auto n = static_cast<double>(texts);
  of.effect = pair_effect(means, category, texts, distance);
  std::vector<double> without;
  double mean = 0, square = 0;
  for (std::size_t t = 0; t < texts; ++t) {
    without.push_back(pair_effect(means, category, t, distance));
    mean += without.back() / n;
  }
  for (const double each : without) square += (each - mean) * (each - mean);
  const double error = std::sqrt((n - 1) / n * square);
  const double reach = error > 1e-9 ? students_quantile(n - 1) * error : std::numeric_limits<double>::quiet_NaN();
  of.effect_low = std::isnan(reach) ? reach : std::max(0.0, of.effect - reach);
  of.effect_high = std::isnan(reach) ? reach : std::min(1.0, of.effect + reach);
}

inline block_summary summary_of(const tensor<double, 2>& means, const std::vector<std::size_t>& category) {
  block_summary result;
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < category.size(); ++i) {
    if (std::isnan(means(i, i))) continue;  // a text with one vector
    sum += means(i, i);
    ++count;
  }
  result.within_text = count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(count);
  const pair_means found = category_means(means, category);
  result.within_category = found.within;
  result.between_categories = found.between;
  const std::size_t categories = category.empty() ? 0 : 1 + *std::ranges::max_element(category);
  for (std::size_t c = 0; c < categories; ++c) {
    double total = 0, pairs = 0;
    for (std::size_t i = 0; i < category.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        if (category[i] != c || category[j] != c) continue;
        total += means(i, j);
        pairs += 1;
      }
    }
    result.within_each.push_back(total / pairs);  // 0 / 0: NaN
  }
  return result;
}

/// Inner products of the texts' mean vectors: (text, text).
inline tensor<double, 2> products_of_texts(tensor_view<const float, 2> vectors, const vector_labels& labels) {
  const std::size_t texts = labels.category.size(), width = vectors.cols();
  tensor<double, 2> means{{texts, width}}, result{{texts, texts}};
  std::vector<double> count(texts), all(width);
  for (std::size_t i = 0; i < vectors.rows(); ++i) {
    count[labels.text[i]] += 1;
    for (std::size_t j = 0; j < width; ++j) means(labels.text[i], j) += static_cast<double>(vectors(i, j));
  }
  for (std::size_t t = 0; t < texts; ++t) {
    for (std::size_t j = 0; j < width; ++j) {
      means(t, j) /= count[t];
      all[j] += means(t, j) / static_cast<double>(texts);
    }
  }
  for (std::size_t i = 0; i < texts; ++i) {
    for (std::size_t j = 0; j < width; ++j) means(i, j) -= all[j];  // changes no distance, only the rounding
    for (std::size_t k = 0; k <= i; ++k) {
      double sum = 0;
      for (std::size_t j = 0; j < width; ++j) sum += means(i, j) * means(k, j);
      result(i, k) = result(k, i) = sum;
    }
  }
  return result;
}

/// W*d of the labels, from inner products; NaN with fewer than two categories or no spread.
inline double distance_of_means(const tensor<double, 2>& products, std::span<const std::size_t> category) {
  const std::size_t categories = 1 + *std::ranges::max_element(category);
  tensor<double, 2> sums{{categories, categories}};  // of products
  std::vector<double> size(categories), own(categories), weight(categories);
  for (std::size_t i = 0; i < category.size(); ++i) {
    size[category[i]] += 1;
    own[category[i]] += products(i, i);
    for (std::size_t j = 0; j < category.size(); ++j) sums(category[i], category[j]) += products(i, j);
  }
  double all = 0, used = 0, pooled = 0, freedom = 0;
  bool single = false;
  for (std::size_t c = 0; c < categories; ++c) {
    if (size[c] == 0) continue;
    pooled += own[c] - sums(c, c) / size[c];
    freedom += size[c] - 1;
    used += 1;
    single = single || size[c] == 1;
  }
  if (used < 2 || freedom < 1 || pooled <= 0) return std::numeric_limits<double>::quiet_NaN();
  pooled /= freedom;
  for (std::size_t c = 0; c < categories; ++c) {
    if (size[c] == 0) continue;
    const double variance = single ? pooled : (own[c] - sums(c, c) / size[c]) / (size[c] - 1);
    weight[c] = size[c] / std::max(variance, 1e-9 * pooled);
    all += weight[c];
  }
  double result = 0;
  for (std::size_t a = 0; a < categories; ++a) {
    for (std::size_t b = 0; b < a; ++b) {
      if (size[a] == 0 || size[b] == 0) continue;
      const double distance =
          sums(a, a) / (size[a] * size[a]) + sums(b, b) / (size[b] * size[b]) - 2 * sums(a, b) / (size[a] * size[b]);
      result += weight[a] * weight[b] / all * distance;
    }
  }
  return result;
}

}  // namespace detail

OPTSCOPE_INLINE tensor<double, 2> similarity_of_texts(tensor_view<const float, 2> matrix, const vector_labels& labels) {
  return detail::mean_over_vectors(matrix, labels);
}
OPTSCOPE_INLINE tensor<double, 2> similarity_of_texts(tensor_view<const double, 2> matrix,
                                                      const vector_labels& labels) {
  return detail::mean_over_vectors(matrix, labels);
}

OPTSCOPE_INLINE std::vector<block_summary> similarity_blocks(const std::vector<tensor<double, 2>>& of_texts,
                                                             const std::vector<std::size_t>& category, std::size_t most,
                                                             std::uint64_t seed, const std::vector<bool>& distance) {
  const auto is_distance_of = [&](std::size_t i) { return !distance.empty() && distance[i]; };
  const auto difference = [](const tensor<double, 2>& means, std::span<const std::size_t> labels) {
    const detail::pair_means found = detail::category_means(means, labels);
    return found.within - found.between;
  };
  std::vector<tensor<double, 2>> alike = of_texts;
  for (std::size_t i = 0; i < alike.size(); ++i) {
    if (!is_distance_of(i)) continue;
    for (std::size_t k = 0; k < alike[i].size(); ++k) alike[i].data()[k] *= -1;
  }
  const std::vector<label_test> tests = detail::test_together(alike, category, difference, most, seed);
  std::vector<block_summary> result;
  for (std::size_t i = 0; i < of_texts.size(); ++i) {
    result.push_back(detail::summary_of(of_texts[i], category));
    detail::add_effect(result.back(), of_texts[i], category, is_distance_of(i));
    result.back().test = tests[i];
  }
  return result;
}
OPTSCOPE_INLINE block_summary similarity_blocks(tensor_view<const float, 2> matrix, const vector_labels& labels,
                                                std::size_t most, std::uint64_t seed) {
  return similarity_blocks({similarity_of_texts(matrix, labels)}, labels.category, most, seed)[0];
}
OPTSCOPE_INLINE block_summary similarity_blocks(tensor_view<const double, 2> matrix, const vector_labels& labels,
                                                std::size_t most, std::uint64_t seed) {
  return similarity_blocks({similarity_of_texts(matrix, labels)}, labels.category, most, seed)[0];
}

OPTSCOPE_INLINE std::vector<label_test> test_of_means(const std::vector<tensor_view<const float, 2>>& sets,
                                                      const vector_labels& labels, std::size_t most,
                                                      std::uint64_t seed) {
  std::vector<tensor<double, 2>> products;
  for (const tensor_view<const float, 2> vectors : sets) products.push_back(detail::products_of_texts(vectors, labels));
  return detail::test_together(products, labels.category, detail::distance_of_means, most, seed);
}

}  // namespace optscope
