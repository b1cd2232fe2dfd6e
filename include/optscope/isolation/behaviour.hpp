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

/// What a model does.
struct behaviour {
  std::vector<double> loss{};                      ///< [category]: nats per token of held-out texts
  std::vector<std::vector<std::size_t>> judged{};  ///< [category of the prompt][category of the continuation]: count
  std::vector<std::size_t> passing{};              ///< [category of the prompt]: continuations that pass a check
  std::vector<std::string> written{};              ///< [prompt]

  [[nodiscard]] bool measured() const noexcept { return !judged.empty(); }
  /// Prompts of a category that were continued.
  [[nodiscard]] std::size_t prompts(std::size_t category) const;
  /// Prompts of the other categories whose continuations are judged to be `kept`.
  [[nodiscard]] counted turned(std::size_t kept) const;
  /// Prompts of the other categories whose continuations pass the check.
  [[nodiscard]] counted passing_of_others(std::size_t kept) const;
};

/// Several behaviours as one: counts are added, losses averaged, what was written is dropped.
[[nodiscard]] behaviour pooled(std::span<const behaviour> all);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/behaviour.ipp>
#endif
