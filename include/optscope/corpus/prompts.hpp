// SPDX-License-Identifier: MIT
#pragma once
// Prompts drawn from texts.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/corpus/corpus.hpp>

namespace optscope {

/// How many prompts are drawn, how long they are, and the seed of the draw.
struct prompt_draw {
  std::size_t each = 16;    ///< of each category
  std::size_t length = 32;  ///< tokens, BOS not counted
  std::uint64_t seed = 0;
};

/// Prompts from random places of the texts, a corpus with the same categories: `each` pieces of `length` tokens, fewer
/// where a text is shorter or where a piece would end in white space. BOS comes first if the tokenizer adds one.
/// The same seed gives the same prompts. Every category needs a text.
[[nodiscard]] corpus draw_prompts(const corpus& from, const prompt_draw& how);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/corpus/prompts.ipp>
#endif
