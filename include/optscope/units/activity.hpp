// SPDX-License-Identifier: MIT
#pragma once
// The activity of every unit over texts, in one call.

#include <algorithm>
#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/units/category_windows.hpp>
#include <optscope/units/head_means.hpp>
#include <optscope/units/head_norms.hpp>
#include <optscope/units/text_groups.hpp>
#include <optscope/units/unit_sums.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// Sums of the activity of every unit over texts; each window of a text counts as one text.
struct activity {
  text_groups groups;
  unit_sums sums;
  head_means heads;
  /// Two: the sums over every second window of each category, beginning with the first and with the second. The only
  /// window of a category is in both.
  std::vector<activity> halves{};
};

namespace detail {

/// The number of a category's windows in each half.
[[nodiscard]] std::size_t windows_in_half(std::size_t windows, std::size_t half);

/// Windows of one category that are run together, each with where it belongs in the whole and in a half.
struct activity_batch {
  token_batch tokens;
  std::vector<text_part> in_whole, in_half;

  void add(const window& what, std::size_t category, std::size_t index, const text_groups& whole,
           const text_groups& half);
};

inline void expect(activity& by, std::vector<text_part> parts) {
  by.heads.expect(parts);
  by.sums.expect(std::move(parts));
}

}  // namespace detail

/// Sums up the activity over `texts` [category][text], in windows of at most 256 tokens. `editors` change the run
/// first. Costs one run over the texts.
///
///     const activity all = sum_up(opt, texts, words.bos());
///     const double mean = all.sums.sum(category, unit_statistic::mean)[unit] / all.groups.texts(category);
template <class Model, class... Editors>
[[nodiscard]] activity sum_up(Model& opt, const category_texts& texts, std::optional<token_id> bos,
                              Editors&&... editors) {
  constexpr std::size_t length = 256, together = 32;
  const std::vector<std::vector<window>> windows =
      windows_by_category(texts, std::min(length, opt.shape().max_positions), bos);
  const std::vector<head_norms> norms = head_norms_of(opt);
  const auto empty = [&](auto windows_used) {
    std::vector<std::size_t> sizes;
    for (const std::vector<window>& own : windows) sizes.push_back(windows_used(own.size()));
    const text_groups groups{sizes};
    return activity{groups, unit_sums{opt.shape(), groups, norms}, head_means{opt.shape(), groups}};
  };
  activity result = empty([](std::size_t count) { return count; });
  for (const std::size_t half : {0, 1}) {
    result.halves.push_back(empty([&](std::size_t count) { return detail::windows_in_half(count, half); }));
  }

  for (std::size_t c = 0; c < windows.size(); ++c) {
    const std::vector<window>& own = windows[c];
    for (const std::size_t parity : {0, 1}) {
      activity& half = result.halves[parity];
      for (std::size_t first = parity; first < own.size(); first += 2 * together) {
        detail::activity_batch batch;
        for (std::size_t i = first; i < std::min(first + 2 * together, own.size()); i += 2) {
          batch.add(own[i], c, i, result.groups, half.groups);
        }
        detail::expect(result, std::move(batch.in_whole));
        detail::expect(half, std::move(batch.in_half));
        opt.run(batch.tokens, editors..., result.sums, result.heads, half.sums, half.heads);
      }
    }
    if (own.size() != 1) continue;
    activity& second = result.halves[1];
    detail::activity_batch batch;
    batch.add(own[0], c, 0, result.groups, second.groups);
    detail::expect(second, std::move(batch.in_half));
    opt.run(batch.tokens, editors..., second.sums, second.heads);
  }
  return result;
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/activity.ipp>
#endif
