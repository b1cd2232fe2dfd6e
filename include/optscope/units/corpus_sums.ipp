// SPDX-License-Identifier: MIT
#pragma once
// Bodies of corpus_sums.hpp.

#include <algorithm>
#include <optscope/units/corpus_sums.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE std::vector<std::pair<token_list, text_part>> parts_of_text(const corpus& all, std::size_t text,
                                                                            const text_groups& groups,
                                                                            std::size_t max_positions,
                                                                            std::size_t length) {
  token_list tokens = all.read(text);
  const std::size_t skip = all.bos() && !tokens.empty() && tokens[0] == *all.bos() ? 1 : 0;
  if (length > 0) tokens.resize(std::min(tokens.size(), length + skip));
  std::vector<window> windows = windows_of(tokens, max_positions, all.bos());
  if (windows.empty()) all.refuse(text, "", "a text", "nothing in it");
  const std::size_t category = all.category_of[text];
  const text_part part{.category = category,
                       .group = groups.of(category, all.index_in_category(text)),
                       .text_tokens = tokens.size() - skip,
                       .skip = skip,
                       .ends = false};
  std::vector<std::pair<token_list, text_part>> result;
  for (window& each : windows) result.emplace_back(std::move(each.tokens), part);
  result.back().second.ends = true;
  return result;
}

}  // namespace optscope::detail
