// SPDX-License-Identifier: MIT
#pragma once
// First-order attribution over the texts of categories, and of each category after the start of another's text.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/units/attribution.hpp>
#include <optscope/units/category_windows.hpp>
#include <random>
#include <vector>

namespace optscope {

/// Which part of the texts `attribute` uses.
struct attributed_part {
  std::size_t first = 0, step = 1;  ///< every `step`-th window of a category from window `first` on
};

/// How much the loss of `texts` [category][text] owes to the units. Entries 0…C-1 of the result: the loss on each
/// category's texts, in windows as in `sum_up`, at most about 2,048 tokens of a category. Entries C…2C-1: the loss on
/// category c's text when it follows the start of another category's. `report(done, all)` is called after each
/// category.
template <class Model, class Report>
[[nodiscard]] loss_attribution attribute(Model& opt, const category_texts& texts, std::optional<token_id> bos,
                                         Report report, attributed_part part = {}) {
  constexpr std::size_t length = 256, start = 32, continuation = 48, pieces = 20, most = 2048;
  const std::size_t positions = opt.shape().max_positions;
  loss_attribution result{2 * texts.size(), unit_table{opt.shape()}.size()};
  attribution_pass pass{opt};
  std::mt19937_64 bits{5 + part.first};
  const std::vector<std::vector<window>> windows = windows_by_category(texts, std::min(length, positions), bos);
  for (std::size_t c = 0; c < texts.size(); ++c) {
    std::size_t number = 0;
    for (const window& each : windows[c]) {
      if (each.tokens.size() < 2 || result.tokens[c] >= most) continue;
      if (number % part.step == part.first) pass.add(each.tokens, c, result);
      ++number;
    }
    for (std::size_t i = 0; i < pieces / part.step; ++i) {
      for (std::size_t other = 0; other < texts.size(); ++other) {
        if (other == c) continue;
        token_list text = random_piece(texts[other], std::min(start, positions / 3), bos, bits);
        if (bos) text.insert(text.begin(), *bos);
        const std::size_t first = text.size();
        const token_list own = random_piece(texts[c], std::min(continuation, positions / 2), bos, bits);
        text.insert(text.end(), own.begin(), own.end());
        pass.add(text, texts.size() + c, result, first);
      }
    }
    report(c + 1, texts.size());
  }
  return result;
}

}  // namespace optscope
