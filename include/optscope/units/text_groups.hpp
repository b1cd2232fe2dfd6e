// SPDX-License-Identifier: MIT
#pragma once
// Which category and group of texts a window belongs to.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <vector>

namespace optscope {

/// Where a window of a batch comes from.
struct text_part {
  std::size_t category = 0;
  std::size_t group = 0;        ///< see `text_groups`; `text_groups::none`
  std::size_t text_tokens = 1;  ///< tokens of the whole text, BOS not counted
  std::size_t skip = 0;         ///< leading tokens of the window that do not count: 1 for a BOS
  bool ends = true;             ///< this is the last window of its text
};

/// Deals the texts of each category out to groups of equal size, so that statistics by group stay small and that a
/// permutation test can exchange groups. While there are few texts each is a group of its own; of more, about `most`
/// groups are made. What is over is in no group: those are spread evenly over the texts of a category.
class text_groups {
 public:
  static constexpr std::size_t none = ~std::size_t{0};

  /// `texts` [category]: how many there are.
  explicit text_groups(std::vector<std::size_t> texts, std::size_t most = 128);

  [[nodiscard]] std::size_t count() const noexcept { return category_.size(); }
  [[nodiscard]] std::size_t texts_per_group() const noexcept { return per_group_; }
  [[nodiscard]] std::size_t texts(std::size_t category) const { return texts_[category]; }
  [[nodiscard]] std::size_t categories() const noexcept { return texts_.size(); }
  /// The group of a category's text number `text`, or `none`.
  [[nodiscard]] std::size_t of(std::size_t category, std::size_t text) const;
  [[nodiscard]] const std::vector<std::size_t>& category() const noexcept { return category_; }  ///< [group]

 private:
  std::vector<std::size_t> texts_;     // [category]
  std::vector<std::size_t> first_;     // [category + 1]: its first group
  std::vector<std::size_t> category_;  // [group]
  std::size_t per_group_ = 1;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/text_groups.ipp>
#endif
