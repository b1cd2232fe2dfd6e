// SPDX-License-Identifier: MIT
#pragma once
// Texts that the model itself writes, to compute scores from in addition to the texts of a corpus.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/corpus/prompts.hpp>
#include <optscope/isolation/removal_candidates.hpp>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/side_by_side.hpp>
#include <optscope/units/category_windows.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// Continues prompts of `prompt_tokens` tokens from `texts` until the model has written about `count` tokens of each
/// category, at temperature 0.8 from the best tokens of probability 0.9 together. [category][text], prompts included.
template <class Model>
[[nodiscard]] category_texts write_texts(side_by_side<Model>& copies, const corpus& texts, std::size_t count,
                                         std::size_t prompt_tokens, std::size_t vocabulary, std::uint64_t seed,
                                         const study_progress& report) {
  constexpr std::size_t together = 64;
  const std::size_t length = std::min<std::size_t>(128, copies[0].shape().max_positions - prompt_tokens - 1);
  const corpus prompts =
      draw_prompts(texts, {.each = (count + length - 1) / length, .length = prompt_tokens, .seed = 3 + seed});
  const std::size_t all = prompts.tokens.size(), batches = (all + together - 1) / together;
  token_batch written(all);
  std::mutex one_at_a_time;
  std::size_t done = 0;
  copies(batches, [&](std::size_t i, std::size_t copy) {
    const std::size_t begin = i * together, end = std::min(begin + together, all);
    const token_batch batch(prompts.tokens.begin() + static_cast<std::ptrdiff_t>(begin),
                            prompts.tokens.begin() + static_cast<std::ptrdiff_t>(end));
    const token_batch some = generate(copies[copy], batch,
                                      {.new_tokens = length,
                                       .how = {.temperature = 0.8, .top_p = 0.9, .seed = 1000 + seed + begin},
                                       .seed_step = 1,
                                       .stop = {},
                                       .tokens = vocabulary});
    const std::lock_guard lock{one_at_a_time};
    std::ranges::copy(some, written.begin() + static_cast<std::ptrdiff_t>(begin));
    ++done;
    if (report) report("writing", static_cast<double>(done), static_cast<double>(batches));
  });
  category_texts result(texts.categories.size());
  for (std::size_t i = 0; i < all; ++i) {
    token_list text = prompts.tokens[i];
    text.insert(text.end(), written[i].begin(), written[i].end());
    result[prompts.category_of[i]].push_back(std::move(text));
  }
  return result;
}

}  // namespace optscope
