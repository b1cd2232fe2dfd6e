// SPDX-License-Identifier: MIT
#pragma once
// What removals are measured on: texts whose loss is measured, and prompts that are continued.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/corpus/corpus.hpp>
#include <vector>

namespace optscope {

struct measured_texts {
  corpus held_out{}, prompts{};
  std::vector<std::size_t> text_of{};  ///< [window of held_out]: the text that it is from
};

/// How much is drawn of each category.
struct measured_draw {
  std::size_t held_out = 512;  ///< tokens, about; in whole windows
  std::size_t window = 256;    ///< tokens of a held-out window
  std::size_t prompts = 16;
  std::size_t prompt_tokens = 32;
  std::uint64_t seed = 0;
};

/// Windows drawn evenly from all windows of a category's texts, all of them where that is little enough, and prompts
/// from random places.
[[nodiscard]] measured_texts draw_measured(const corpus& from, const measured_draw& how);

/// The texts of all other categories; the categories keep their numbers.
[[nodiscard]] corpus without_category(const corpus& all, std::size_t category);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/measured_texts.ipp>
#endif
