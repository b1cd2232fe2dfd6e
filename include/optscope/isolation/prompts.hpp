// SPDX-License-Identifier: MIT
#pragma once
// Prompts drawn from texts.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/isolation/isolation.hpp>
#include <random>
#include <utility>
#include <vector>

namespace optscope {

/// Prompts from `texts` [category][text]: `each` pieces a category at random places, of `length` tokens and less where
/// they would end in a token for which `ends_in_space(token)` is true, BOS first if there is one.
template <class EndsInSpace>
[[nodiscard]] labelled_texts draw_prompts(const std::vector<std::vector<token_list>>& texts,
                                          std::optional<token_id> bos, EndsInSpace ends_in_space, std::size_t each,
                                          std::size_t length, std::uint64_t seed) {
  labelled_texts result;
  std::mt19937_64 bits{seed};
  for (std::size_t c = 0; c < texts.size(); ++c) {
    for (std::size_t i = 0; i < each; ++i) {
      token_list prompt = random_piece(texts[c], length, bos, bits);
      while (prompt.size() > 1 && ends_in_space(prompt.back())) prompt.pop_back();
      if (bos) prompt.insert(prompt.begin(), *bos);
      result.add(std::move(prompt), c);
    }
  }
  return result;
}

}  // namespace optscope
