// SPDX-License-Identifier: MIT
#pragma once
// Which category a text belongs to, or none: what a judge must do, and a classifier of byte n-grams that knows nothing
// of the model.

#include <concepts>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// Decides which category a text belongs to, or that it belongs to none. Several threads may ask at once.
///
///     struct length_judge {                                       // short texts are of category 0, long ones of 1
///       std::size_t categories() const { return 2; }
///       std::vector<double> probabilities(std::string_view text) const {
///         if (text.empty()) return {0, 0, 1};                     // of neither
///         return text.size() < 80 ? std::vector{1.0, 0.0, 0.0} : std::vector{0.0, 1.0, 0.0};
///       }
///     };
template <class J>
concept text_judge = requires(const J& judge, std::string_view text) {
  { judge.categories() } -> std::convertible_to<std::size_t>;
  { judge.probabilities(text) } -> std::same_as<std::vector<double>>;  // [category], last: of none; their sum is 1
};

/// Naive Bayes on the 1- to 5-grams of a text's bytes, hashed to 2^18 features. Besides the categories it knows what
/// belongs to none: each category's words in another order, and random pieces of words. Every category and "none" have
/// the same prior probability. Each byte is in up to 15 n-grams, and its neighbours say much the same: all evidence is
/// divided by 15.
///
/// On pieces of 16 and 48 tokens of the demo's texts that were not counted: a category with a probability of at least
/// 0.85 is right 93 to 99 times in 100; under 1 % of pieces are said to be of none, and 89 % of pieces of 48 tokens
/// with their tokens shuffled, 56 % of those of 16.
class ngram_judge {
 public:
  /// `texts` [category][text]. The same number of bytes counts for each category, that of the smallest: a category with
  /// more known n-grams would be found more often.
  explicit ngram_judge(const std::vector<std::vector<std::string>>& texts);

  [[nodiscard]] std::size_t categories() const noexcept { return categories_; }

  /// Probability of each category, then that of none of them: [category + 1].
  [[nodiscard]] std::vector<double> probabilities(std::string_view text) const;

 private:
  std::size_t categories_;
  std::vector<float> log_share_;  // (feature, class): categories, their shuffled words, random words
};

static_assert(text_judge<ngram_judge>);

/// The most probable category, or the number of categories for none; of equal ones the first.
[[nodiscard]] std::size_t most_probable(const std::vector<double>& probabilities);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/judge.ipp>
#endif
