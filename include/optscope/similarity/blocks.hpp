// SPDX-License-Identifier: MIT
#pragma once
// Whether a similarity matrix has blocks: means within texts, within and between categories, and a permutation test.

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

/// What `similarity_blocks` finds; a mean over no pair is NaN.
struct block_summary {
  double within_text = 0;      ///< pairs of different vectors of one text
  double within_category = 0;  ///< pairs of vectors of different texts of one category
  double between_categories = 0;
  double p = 1;               ///< of within_category - between_categories under exchange of the category labels
  std::size_t labelings = 0;  ///< assignments of labels compared, the real one included
  bool exact = false;         ///< all different assignments were compared, not a random sample
};

/// Summarises a similarity matrix (vector, vector) and tests its blocks.
///
/// The unit of the test is the text: category labels are exchanged between texts, never between positions, which are
/// not independent. The statistic is within_category - between_categories, where each pair of texts counts once. p is
/// the share of assignments whose statistic is at least the real one's: of all of them where there are at most `most`,
/// else of `most` random ones drawn with `seed`, the real one included (`for_each_labelling`).
[[nodiscard]] block_summary similarity_blocks(tensor_view<const float, 2> matrix, const vector_labels& labels,
                                              std::size_t most = 20'000, std::uint64_t seed = 1);
[[nodiscard]] block_summary similarity_blocks(tensor_view<const double, 2> matrix, const vector_labels& labels,
                                              std::size_t most = 20'000, std::uint64_t seed = 1);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/blocks.ipp>
#endif
