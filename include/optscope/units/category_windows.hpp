// SPDX-License-Identifier: MIT
#pragma once
// The texts of several categories, cut into windows.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <vector>

namespace optscope {

/// Texts by category: [category][text].
using category_texts = std::vector<std::vector<token_list>>;

/// The windows of each category's texts, in order: [category][window]. See `windows_of`.
[[nodiscard]] std::vector<std::vector<window>> windows_by_category(const category_texts& texts, std::size_t length,
                                                                   std::optional<token_id> bos);

/// To how many tokens (BOS not counted) texts should be cut so that those of all categories are alike: activity depends
/// on the position, and a mean over few tokens is scattered more, so that a category of short texts would differ for
/// that alone. 0, no cut, where the categories' median lengths are within a quarter of each other; else what nine of
/// ten texts of the category of the shortest texts have. `lengths` [category][text].
///
/// Means over more windows of the same length would use all of longer texts, but are scattered less, and exchanging
/// labels takes that for a difference: with 4 windows a text in one of four categories and 5 to 7 in the others, p
/// below 0.001 is up to three times as frequent as it should be, with 1 against 10 more than fifty times.
[[nodiscard]] std::size_t equal_length(std::vector<std::vector<std::size_t>> lengths);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/category_windows.ipp>
#endif
