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

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/category_windows.ipp>
#endif
