// SPDX-License-Identifier: MIT
#pragma once
// Bodies of tokens.hpp.

#include <algorithm>
#include <optscope/core/tokens.hpp>

namespace optscope {

OPTSCOPE_INLINE token_batch trim(token_batch texts, std::size_t length) {
  for (token_list& tokens : texts) tokens.resize(std::min(tokens.size(), length));
  return texts;
}

OPTSCOPE_INLINE named_texts trim(named_texts texts, std::size_t length) {
  for (token_list& tokens : texts) tokens.resize(std::min(tokens.size(), length));
  return texts;
}

}  // namespace optscope
