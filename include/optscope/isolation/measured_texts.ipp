// SPDX-License-Identifier: MIT
#pragma once
// Bodies of measured_texts.hpp.

#include <algorithm>
#include <optscope/corpus/prompts.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/isolation/measured_texts.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE measured_texts draw_measured(const corpus& from, const measured_draw& how) {
  measured_texts result{
      .held_out = from.emptied(),
      .prompts = draw_prompts(from, {.each = how.prompts, .length = how.prompt_tokens, .seed = how.seed}),
      .text_of = {}};
  std::size_t text = 0;
  for (std::size_t c = 0; c < from.categories.size(); ++c) {
    std::vector<std::pair<std::size_t, token_list>> all;  // text and window
    for (const token_list& each : from.tokens_in(c)) {
      for (window& part : windows_of(each, how.window, from.bos())) {
        if (part.tokens.size() > 1) all.emplace_back(text, std::move(part.tokens));
      }
      ++text;
    }
    const std::size_t taken = std::min(all.size(), std::max<std::size_t>(how.held_out / how.window, 1));
    for (std::size_t i = 0; i < taken; ++i) {
      auto& [of, tokens] = all[(2 * i + 1) * all.size() / (2 * taken)];  // the middle of each of equal parts
      result.text_of.push_back(of);
      result.held_out.add(c, std::move(tokens));
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
