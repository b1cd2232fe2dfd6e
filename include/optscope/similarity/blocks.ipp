// SPDX-License-Identifier: MIT
#pragma once
// Bodies of blocks.hpp.

#include <cmath>
#include <limits>
#include <optscope/core/permutation.hpp>
#include <optscope/similarity/blocks.hpp>
#include <span>
#include <tuple>
#include <utility>

namespace optscope {
namespace detail {

/// Mean similarity between texts i and j, over all pairs of their vectors: (text, text); the diagonal leaves out a
/// vector with itself.
template <class T>
tensor<double, 2> text_means(tensor_view<const T, 2> matrix, const vector_labels& labels) {
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

/// {mean over pairs of texts of one category, mean over pairs of texts of two}.
inline std::pair<double, double> category_means(const tensor<double, 2>& means, std::span<const std::size_t> category) {
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

inline block_summary blocks_of(const tensor<double, 2>& means, const vector_labels& labels, std::size_t most,
                               std::uint64_t seed) {
  block_summary result;
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < labels.category.size(); ++i) {
    if (std::isnan(means(i, i))) continue;  // a text with one vector
    sum += means(i, i);
    ++count;
  }
  result.within_text = count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(count);
  std::tie(result.within_category, result.between_categories) = category_means(means, labels.category);

  const double observed = result.within_category - result.between_categories;
  if (std::isnan(observed)) return result;  // one category, or one text in each
  const double slack = 1e-12 * (std::abs(result.within_category) + std::abs(result.between_categories));
  std::size_t as_large = 0;
  const labelling_count compared =
      for_each_labelling(labels.category, most, seed, [&](std::span<const std::size_t> category) {
        const auto [within, between] = category_means(means, category);
        if (within - between >= observed - slack) ++as_large;
      });
  result.labelings = compared.count;
  result.exact = compared.exact;
  result.p = static_cast<double>(as_large) / static_cast<double>(compared.count);
  return result;
}

}  // namespace detail

OPTSCOPE_INLINE block_summary similarity_blocks(tensor_view<const float, 2> matrix, const vector_labels& labels,
                                                std::size_t most, std::uint64_t seed) {
  return detail::blocks_of(detail::text_means(matrix, labels), labels, most, seed);
}
OPTSCOPE_INLINE block_summary similarity_blocks(tensor_view<const double, 2> matrix, const vector_labels& labels,
                                                std::size_t most, std::uint64_t seed) {
  return detail::blocks_of(detail::text_means(matrix, labels), labels, most, seed);
}

}  // namespace optscope
