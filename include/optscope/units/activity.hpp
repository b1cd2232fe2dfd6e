// SPDX-License-Identifier: MIT
#pragma once
// The activity of every unit over texts, in one call.

#include <algorithm>
#include <cstddef>
#include <iterator>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/units/head_means.hpp>
#include <optscope/units/head_norms.hpp>
#include <optscope/units/unit_sums.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// Sums of the activity of every unit over texts; each window of a text counts as one.
struct activity {
  text_groups groups;
  unit_sums sums;
  head_means heads;
  std::vector<activity> halves{};  ///< two: of every second window of a category; a single one is in both
};
/// Sums up `texts` [category][text] in windows of at most 256 tokens, what `editors` leave.
template <class Model, class... Editors>
[[nodiscard]] activity sum_up(Model& opt, const std::vector<std::vector<token_list>>& texts,
                              std::optional<token_id> bos, Editors&&... editors) {
  constexpr std::size_t length = 256, together = 32;
  std::vector<std::vector<window>> windows(texts.size());
  for (std::size_t c = 0; c < texts.size(); ++c) {
    for (const token_list& text : texts[c]) {
      auto more = windows_of(text, std::min(length, opt.shape().max_positions), bos);
      std::move(more.begin(), more.end(), std::back_inserter(windows[c]));
    }
  }
  const auto empty = [&](auto size) {
    std::vector<std::size_t> sizes;
    for (const auto& own : windows) sizes.push_back(size(own.size()));
    const text_groups groups{sizes};
    return activity{groups, unit_sums{opt.shape(), groups, head_norms_of(opt)}, head_means{opt.shape(), groups}};
  };
  activity result = empty([](std::size_t count) { return count; });
  for (const std::size_t half : {0, 1}) {
    result.halves.push_back(empty([half](std::size_t n) { return n == 1 ? 1 : (n + 1 - half) / 2; }));
  }
  for (std::size_t c = 0; c < windows.size(); ++c) {
    token_batch batch;
    std::vector<text_part> parts, in_half;
    const auto add = [&](const window& w, std::size_t index, const activity& half) {
      batch.push_back(w.tokens);
      parts.push_back({c, result.groups.of(c, index), w.tokens.size() - w.skip, w.skip, true});
      in_half.push_back(parts.back());
      in_half.back().group = half.groups.of(c, index / 2);
    };
    const auto expect = [](activity& by, std::vector<text_part> next) {
      by.heads.expect(next);
      by.sums.expect(std::move(next));
    };
    for (const std::size_t parity : {0, 1}) {
      activity& half = result.halves[parity];
      for (std::size_t first = parity; first < windows[c].size(); first += 2 * together) {
        for (std::size_t i = first; i < std::min(first + 2 * together, windows[c].size()); i += 2) {
          add(windows[c][i], i, half);
        }
        expect(result, std::exchange(parts, {}));
        expect(half, std::exchange(in_half, {}));
        opt.run(std::exchange(batch, {}), editors..., result.sums, result.heads, half.sums, half.heads);
      }
      if (parity == 0 || windows[c].size() != 1) continue;
      add(windows[c][0], 0, half);
      expect(half, in_half);
      opt.run(batch, editors..., half.sums, half.heads);
    }
  }
  return result;
}

}  // namespace optscope
