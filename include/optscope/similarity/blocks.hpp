// SPDX-License-Identifier: MIT
#pragma once
// Whether similarity matrices have blocks: means within texts, within and between categories, and permutation tests.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <vector>

namespace optscope {

/// Where the vectors of a similarity matrix come from.
struct vector_labels {
  std::vector<std::size_t> text;      ///< [vector]: index of its text
  std::vector<std::size_t> category;  ///< [text]: index of its category
};

/// A permutation test of one of several statistics that were tested together.
struct label_test {
  double p = 1;               ///< share of assignments of labels under which the statistic is at least as large
  double p_over_all = 1;      ///< share of them under which any of the statistics stands out at least as much
  double p_holm = 1;          ///< p corrected for the number of statistics (Holm 1979): larger than p_over_all
  double smallest_p = 1;      ///< no p can be below: as many texts of such categories have not more assignments
  std::size_t labelings = 0;  ///< assignments of labels compared, the real one included; 0: nothing to test
  bool exact = false;         ///< all different assignments were compared, not a random sample
  double score = 0;           ///< the statistic less its mean over the assignments, in their standard deviations
  double level = 0;           ///< what the largest score of all exceeds in 5 % of the assignments or less
};

/// What `similarity_blocks` finds; a mean over no pair is NaN.
struct block_summary {
  double within_text = 0;      ///< pairs of different vectors of one text
  double within_category = 0;  ///< pairs of vectors of different texts of one category
  double between_categories = 0;
  std::vector<double> within_each{};  ///< [category]: the same as `within_category`, of one category
  /// How often a pair of texts of one category is more alike than a pair of two categories, over all pairs of pairs;
  /// one half by chance.
  double effect = 0;
  double effect_low = 0,
         effect_high = 0;  ///< 95 % interval, the jackknife over texts; NaN if no text matters or one is needed
  label_test test{};       ///< of within_category - between_categories
};

/// Mean similarity between texts i and j, over all pairs of their vectors, from a matrix (vector, vector): (text,
/// text). The diagonal leaves out a vector with itself, and is NaN for a text of one vector.
[[nodiscard]] tensor<double, 2> similarity_of_texts(tensor_view<const float, 2> matrix, const vector_labels& labels);
[[nodiscard]] tensor<double, 2> similarity_of_texts(tensor_view<const double, 2> matrix, const vector_labels& labels);

/// Summarises similarity matrices of the same texts, each as `similarity_of_texts` gives it, and tests their blocks
/// together. `category` [text].
///
/// The unit of the test is the text: category labels are exchanged between texts, never between positions, which are
/// not independent. The statistic is within_category - between_categories, where each pair of texts counts once. It is
/// large if the means of the categories differ, and also if one category is tighter than another: compare
/// `within_each`, and see `test_of_means`. Labels are exchanged in all ways if there are at most `most`, else in `most`
/// random ways drawn with `seed`, the real one included (`for_each_labelling`).
///
/// `p_over_all` is corrected for the number of matrices: the largest of their statistics, each in standard deviations
/// over the assignments, is compared (Westfall and Young 1993).
///
/// `distance` [matrix] says in which matrices small is alike, none if it is empty: the statistic is negated there.
[[nodiscard]] std::vector<block_summary> similarity_blocks(const std::vector<tensor<double, 2>>& of_texts,
                                                           const std::vector<std::size_t>& category,
                                                           std::size_t most = 20'000, std::uint64_t seed = 1,
                                                           const std::vector<bool>& distance = {});
/// The same of one matrix (vector, vector).
[[nodiscard]] block_summary similarity_blocks(tensor_view<const float, 2> matrix, const vector_labels& labels,
                                              std::size_t most = 20'000, std::uint64_t seed = 1);
[[nodiscard]] block_summary similarity_blocks(tensor_view<const double, 2> matrix, const vector_labels& labels,
                                              std::size_t most = 20'000, std::uint64_t seed = 1);

/// Whether the mean vectors of the categories differ, however much their texts are scattered: one test for each of the
/// sets of vectors (vector, width), as `labels` says. The unit is the mean vector of a text. The statistic is the sum
/// over pairs of categories of the squared distance of their means, weighted by n/s² as Welch's t is, s² being the
/// total variance of a category's texts (Hamidi et al., "W*d-test", 2019); by n where a category has one text.
[[nodiscard]] std::vector<label_test> test_of_means(const std::vector<tensor_view<const float, 2>>& sets,
                                                    const vector_labels& labels, std::size_t most = 20'000,
                                                    std::uint64_t seed = 1);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/blocks.ipp>
#endif
