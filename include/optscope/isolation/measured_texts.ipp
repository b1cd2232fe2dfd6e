// SPDX-License-Identifier: MIT
#pragma once
// Bodies of measured_texts.hpp.

#include <optscope/corpus/prompts.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/isolation/measured_texts.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE measured_texts draw_measured(const corpus& from, const measured_draw& how) {
  measured_texts result{
      .held_out = from.emptied(),
      .prompts = draw_prompts(from, {.each = how.prompts, .length = how.prompt_tokens, .seed = how.seed})};
  for (std::size_t c = 0; c < from.categories.size(); ++c) {
    std::size_t taken = 0;
    for (const token_list& text : from.tokens_in(c)) {
      for (window& each : windows_of(text, how.window, from.bos())) {
        if (taken >= how.held_out || each.tokens.size() < 2) break;
        taken += each.tokens.size();
        result.held_out.add(c, std::move(each.tokens));
      }
    }
  }
  return result;
}

OPTSCOPE_INLINE corpus without_category(const corpus& all, std::size_t category) {
  corpus result = all.emptied();
  for (std::size_t t = 0; t < all.tokens.size(); ++t) {
    if (all.category_of[t] != category) result.add(all.category_of[t], all.tokens[t]);
  }
  return result;
}

}  // namespace optscope
