// SPDX-License-Identifier: MIT
#pragma once
// The activity of every unit over texts, in one call.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/modularity/head_means.hpp>
#include <optscope/modularity/head_norms.hpp>
#include <optscope/modularity/unit_sums.hpp>
#include <optscope/modularity/windows.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// Sums of the activity of every unit over texts; each window of a text counts as one.
struct activity {
  text_groups groups;
  unit_sums sums;
  head_means heads;
};
/// Sums up `texts` [category][text] in windows of at most 256 tokens, beginning with window `begin` of a category and
/// taking every `step`th.
template <class Model>
[[nodiscard]] activity sum_up(Model& opt, const std::vector<std::vector<token_list>>& texts,
                              std::optional<token_id> bos, std::size_t begin = 0, std::size_t step = 1) {
  constexpr std::size_t length = 256;
  std::vector<std::vector<window>> windows(texts.size());
  std::vector<std::size_t> sizes;
  for (std::size_t c = 0; c < texts.size(); ++c) {
    std::vector<window> all;
    for (const token_list& text : texts[c]) {
      auto more = windows_of(text, std::min(length, opt.shape().max_positions), bos);
      std::move(more.begin(), more.end(), std::back_inserter(all));
    }
    for (std::size_t i = begin < all.size() ? begin : 0; i < all.size(); i += step) windows[c].push_back(all[i]);
    sizes.push_back(windows[c].size());
  }
  const text_groups groups{sizes};
  activity result{groups, unit_sums{opt.shape(), groups, head_norms_of(opt)}, head_means{opt.shape(), groups}};
  for (std::size_t c = 0; c < windows.size(); ++c) {
    for (std::size_t first = 0; first < windows[c].size(); first += 32) {
      token_batch batch;
      std::vector<text_part> parts;
      for (std::size_t i = first; i < std::min(first + 32, windows[c].size()); ++i) {
        const window& w = windows[c][i];
        batch.push_back(w.tokens);
        parts.push_back({c, groups.of(c, i), w.tokens.size() - w.skip, w.skip, true});
      }
      result.heads.expect(parts);
      result.sums.expect(std::move(parts));
      opt.run(batch, result.sums, result.heads);
    }
  }
  return result;
}

}  // namespace optscope
