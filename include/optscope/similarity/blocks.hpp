// SPDX-License-Identifier: MIT
#pragma once
// Whether a similarity matrix has blocks: means within texts, within and between categories, and a permutation test.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/core/tensor.hpp>
#include <random>
#include <tuple>
#include <utility>
#include <vector>

namespace optscope {

/// Where the vectors of a similarity matrix come from.
struct vector_labels {
  std::vector<std::size_t> text;      ///< [vector]: index of its text
  std::vector<std::size_t> category;  ///< [text]: index of its category
};

/// What `similarity_blocks` finds; a mean over no pair is NaN.
struct block_summary {
  double within_text = 0;      ///< pairs of different vectors of one text
  double within_category = 0;  ///< pairs of vectors of different texts of one category
  double between_categories = 0;
  double p = 1;               ///< of within_category - between_categories under exchange of the category labels
  std::size_t labelings = 0;  ///< assignments of labels compared, the real one included
  bool exact = false;         ///< all different assignments were compared, not a random sample
};

namespace detail {

/// Mean similarity between texts i and j, over all pairs of their vectors: (text, text); the diagonal leaves out a
/// vector with itself.
inline tensor<double, 2> text_means(tensor_view<const float, 2> matrix, const vector_labels& labels) {
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
inline std::pair<double, double> category_means(const tensor<double, 2>& means,
                                                const std::vector<std::size_t>& category) {
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

/// Number of different assignments of these labels to the texts: n! / (n1! n2! …), at most about 1e300.
inline double number_of_labelings(const std::vector<std::size_t>& category) {
  double logarithm = std::lgamma(static_cast<double>(category.size()) + 1);
  for (std::size_t c = 0; c <= *std::max_element(category.begin(), category.end()); ++c) {
    const auto members = std::count(category.begin(), category.end(), c);
    logarithm -= std::lgamma(static_cast<double>(members) + 1);
  }
  return std::round(std::exp(std::min(logarithm, 690.0)));
}

}  // namespace detail

/// Summarises a similarity matrix (vector, vector) and tests its blocks.
///
/// The unit of the test is the text: category labels are exchanged between texts, never between positions, which are
/// not independent. The statistic is within_category - between_categories, each text pair counting once. p is the share
/// of assignments whose statistic is at least the real one's: of all of them where there are at most `most`, else of
/// `most` random ones drawn with `seed`, the real one included (Phipson and Smyth 2010).
[[nodiscard]] inline block_summary similarity_blocks(tensor_view<const float, 2> matrix, const vector_labels& labels,
                                                     std::size_t most = 20'000, std::uint64_t seed = 1) {
  const tensor<double, 2> means = detail::text_means(matrix, labels);
  block_summary result;
  double sum = 0;
  std::size_t count = 0;
  for (std::size_t i = 0; i < labels.category.size(); ++i) {
    if (std::isnan(means(i, i))) continue;  // a text with one vector
    sum += means(i, i);
    ++count;
  }
  result.within_text = count == 0 ? std::numeric_limits<double>::quiet_NaN() : sum / static_cast<double>(count);
  std::tie(result.within_category, result.between_categories) = detail::category_means(means, labels.category);

  const double observed = result.within_category - result.between_categories;
  if (std::isnan(observed)) return result;  // one category, or one text in each
  const double slack = 1e-12 * (std::abs(result.within_category) + std::abs(result.between_categories));
  std::size_t as_large = 0;
  const auto compare = [&](const std::vector<std::size_t>& category) {
    const auto [within, between] = detail::category_means(means, category);
    as_large += within - between >= observed - slack;
    ++result.labelings;
  };
  std::vector<std::size_t> category = labels.category;
  result.exact = detail::number_of_labelings(category) <= static_cast<double>(most);
  if (result.exact) {
    std::sort(category.begin(), category.end());
    do {
      compare(category);
    } while (std::next_permutation(category.begin(), category.end()));
  } else {
    std::mt19937_64 random{seed};
    compare(category);
    while (result.labelings < most) {
      for (std::size_t i = category.size(); i-- > 1;) std::swap(category[i], category[random() % (i + 1)]);
      compare(category);
    }
  }
  result.p = static_cast<double>(as_large) / static_cast<double>(result.labelings);
  return result;
}

}  // namespace optscope
