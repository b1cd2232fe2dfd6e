// SPDX-License-Identifier: MIT
#pragma once
// What a model does: its loss on texts of each category, and what its continuations of prompts are judged to be.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope {

/// How many of how many.
struct counted {
  std::size_t hits = 0, all = 0;
  [[nodiscard]] double share() const noexcept {
    return all == 0 ? 0 : static_cast<double>(hits) / static_cast<double>(all);
  }
};

/// The loss of one text, or of those of its windows that are measured.
struct text_loss {
  std::size_t category = 0;
  double nats = 0;         ///< the sum over tokens
  std::size_t tokens = 0;  ///< that are predicted
};

/// What a model does.
struct behaviour {
  std::vector<double> loss{};                      ///< [category]: nats per token of held-out texts
  std::vector<text_loss> of_texts{};               ///< [held-out text]
  std::vector<std::vector<std::size_t>> judged{};  ///< [category of the prompt][of the continuation, last: none]: count
  std::vector<std::size_t> loops{};                ///< [category of the prompt]: continuations that are a loop
  std::vector<std::size_t> passing{};              ///< [category of the prompt]: continuations that pass a check
  std::vector<std::string> written{};              ///< [prompt]
  std::vector<std::size_t> written_is{};           ///< [prompt]: the category, or the number of categories for none

  [[nodiscard]] bool measured() const noexcept { return !judged.empty(); }
  /// Prompts of a category that were continued.
  [[nodiscard]] std::size_t prompts(std::size_t category) const;
  /// Prompts of the other categories whose continuations are judged to be `kept` and are no loop.
  [[nodiscard]] counted turned(std::size_t kept) const;
  /// Prompts of the other categories whose continuations pass the check.
  [[nodiscard]] counted passing_of_others(std::size_t kept) const;
  /// Prompts of the other categories whose continuations are a loop.
  [[nodiscard]] counted loops_of_others(std::size_t kept) const;
  /// Prompts of a category whose continuations are judged to be of it and are no loop.
  [[nodiscard]] counted own(std::size_t category) const;
};

/// The change of a category's loss between two behaviours on the same texts, in nats per token, with a 95 % interval
/// over texts: Student's, of the ratio of two sums (Cochran, Sampling Techniques, 6.3), texts with more tokens counting
/// for more. The interval is nothing with fewer than two texts.
struct loss_change {
  double mean = 0, low = 0, high = 0;
  std::size_t texts = 0;
};
[[nodiscard]] loss_change change_of_loss(const behaviour& before, const behaviour& after, std::size_t category);

/// Several behaviours as one: counts are added, losses averaged, what was written and single texts are dropped.
[[nodiscard]] behaviour pooled(std::span<const behaviour> all);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/behaviour.ipp>
#endif
