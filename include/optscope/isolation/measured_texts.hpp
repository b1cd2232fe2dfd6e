// SPDX-License-Identifier: MIT
#pragma once
// What removals are measured on: texts whose loss is measured, and prompts that are continued.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/corpus/corpus.hpp>

namespace optscope {

struct measured_texts {
  corpus held_out{}, prompts{};
};

/// How much is drawn of each category.
struct measured_draw {
  std::size_t held_out = 512;  ///< tokens, about
  std::size_t window = 256;    ///< tokens of a held-out window
  std::size_t prompts = 16;
  std::size_t prompt_tokens = 32;
  std::uint64_t seed = 0;
};

/// Windows from the beginnings of the texts, and prompts from random places.
[[nodiscard]] measured_texts draw_measured(const corpus& from, const measured_draw& how);

/// The texts of all other categories; the categories keep their numbers.
[[nodiscard]] corpus without_category(const corpus& all, std::size_t category);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/measured_texts.ipp>
#endif
