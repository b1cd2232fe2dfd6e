// SPDX-License-Identifier: MIT
#pragma once
// Bodies of prompts.hpp.

#include <optional>
#include <optscope/corpus/prompts.hpp>
#include <optscope/corpus/windows.hpp>
#include <random>
#include <string>
#include <string_view>
#include <utility>

namespace optscope {
namespace detail {

/// Whether a token's last character is white space; a token without text counts as that.
inline bool ends_in_space(const tokenizer& words, token_id id) {
  const std::string piece = words.piece(id);
  return piece.empty() || std::string_view{" \n\t\r"}.find(piece.back()) != std::string_view::npos;
}

}  // namespace detail

OPTSCOPE_INLINE corpus draw_prompts(const corpus& from, const prompt_draw& how) {
  corpus result = from.emptied();
  const std::optional<token_id> bos = from.bos();
  std::mt19937_64 bits{how.seed};
  for (std::size_t c = 0; c < from.categories.size(); ++c) {
    for (std::size_t i = 0; i < how.each; ++i) {
      token_list prompt = random_piece(from.tokens_in(c), how.length, bos, bits);
      while (from.words && prompt.size() > 1 && detail::ends_in_space(*from.words, prompt.back())) prompt.pop_back();
      if (bos) prompt.insert(prompt.begin(), *bos);
      result.add(c, std::move(prompt));
    }
  }
  return result;
}

}  // namespace optscope
