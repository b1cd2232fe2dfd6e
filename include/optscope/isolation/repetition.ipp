// SPDX-License-Identifier: MIT
#pragma once
// Bodies of repetition.hpp.

#include <array>
#include <cstddef>
#include <optscope/isolation/repetition.hpp>
#include <set>

namespace optscope {

OPTSCOPE_INLINE double distinct_share(const token_list& text) {
  constexpr std::size_t run = 4;
  if (text.size() < run) return 1;
  std::set<std::array<token_id, run>> different;
  const std::size_t runs = text.size() - run + 1;
  for (std::size_t i = 0; i < runs; ++i) different.insert({text[i], text[i + 1], text[i + 2], text[i + 3]});
  return static_cast<double>(different.size()) / static_cast<double>(runs);
}

OPTSCOPE_INLINE bool is_loop(const token_list& text) {
  constexpr std::size_t shortest = 12;
  return text.size() >= shortest && distinct_share(text) < 0.5;
}

}  // namespace optscope
