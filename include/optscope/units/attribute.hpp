// SPDX-License-Identifier: MIT
#pragma once
// First-order attribution over the texts of categories, and of each category behind beginnings of the others.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/units/attribution.hpp>
#include <random>
#include <vector>

namespace optscope {

/// What the loss of `texts` [category][text] owes to the units: of each category, and behind those of each behind
/// beginnings of the others. At most 2,048 tokens of a category, windows as in `sum_up`. `report(done, all)` is called
/// after each category.
template <class Model, class Report>
[[nodiscard]] loss_attribution attribute(Model& opt, const std::vector<std::vector<token_list>>& texts,
                                         std::optional<token_id> bos, Report report, std::size_t begin = 0,
                                         std::size_t step = 1) {
  constexpr std::size_t length = 256, before = 32, behind = 48, each = 20, most = 2048;
  loss_attribution result{2 * texts.size(), unit_table{opt.shape()}.size()};
  attribution_pass pass{opt};
  std::mt19937_64 bits{5 + begin};
  for (std::size_t c = 0; c < texts.size(); ++c) {
    std::size_t number = 0;
    for (const token_list& text : texts[c]) {
      for (const window& w : windows_of(text, std::min(length, opt.shape().max_positions), bos)) {
        if (w.tokens.size() < 2 || result.tokens[c] >= most || number++ % step != begin) continue;
        pass.add(w.tokens, c, result);
      }
    }
    for (std::size_t i = 0; i < each / step; ++i) {
      for (std::size_t other = 0; other < texts.size(); ++other) {
        if (other == c) continue;
        token_list text = random_piece(texts[other], std::min(before, opt.shape().max_positions / 3), bos, bits);
        if (bos) text.insert(text.begin(), *bos);
        const std::size_t first = text.size();
        const token_list more = random_piece(texts[c], std::min(behind, opt.shape().max_positions / 2), bos, bits);
        text.insert(text.end(), more.begin(), more.end());
        pass.add(text, texts.size() + c, result, first);
      }
    }
    report(c + 1, texts.size());
  }
  return result;
}

}  // namespace optscope
