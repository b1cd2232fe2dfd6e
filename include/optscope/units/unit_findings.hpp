// SPDX-License-Identifier: MIT
#pragma once
// What a study of units finds: effects by category, top neurons and where they are high, limits; as a table and JSON.

#include <cstddef>
#include <filesystem>
#include <map>
#include <optscope/core/compiled.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/units/effects.hpp>
#include <optscope/units/text_groups.hpp>
#include <optscope/units/token_controls.hpp>
#include <optscope/units/unit_sums.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// A place in a text and a neuron's activity there.
struct neuron_context {
  enum class kind { highest, lowest, random };
  kind which = kind::highest;
  double value = 0;
  std::string text{};  ///< the tokens around it, the token itself in ⟦⟧
};

/// A neuron that stands out in a category.
struct found_neuron {
  unit what;
  std::size_t category;
  token_controls controls{};
  std::vector<neuron_context> contexts{};
};

/// How well the list of top units that one half of the texts gives holds on the other half, both ways together.
struct list_check {
  std::size_t listed = 0;  ///< units in the two lists; 0 if a category has no text in one of the halves
  std::size_t again = 0;   ///< how many of them the list of the other half has, too
  double g = 0;            ///< mean magnitude of g on the half that they were chosen on
  double g_of_others = 0;  ///< mean g on the other half, negative where the sign is another
};

/// What a study of units finds.
struct unit_findings {
  static constexpr double false_discovery_rate = 0.05;

  std::vector<std::string> categories;
  text_groups groups;
  unit_sums sums;
  unit_statistic by = unit_statistic::mean_abs;  ///< the statistic that top units are chosen by
  std::map<unit_statistic, unit_effects> effects{};
  std::vector<found_neuron> neurons{};
  std::vector<token_id> highest_tokens{};  ///< [layer * neurons + neuron] at which it is highest, of those searched
  std::vector<std::string> limits{};       ///< what the texts do not allow to say

  [[nodiscard]] const unit_effects& chosen_effects() const { return effects.at(by); }
  /// Mean of a statistic over the texts of a category.
  [[nodiscard]] double mean(std::size_t category, unit_statistic statistic, std::size_t unit) const;
  /// Standard deviation of the activity over the positions of a category, each text counting once.
  [[nodiscard]] double deviation(std::size_t category, std::size_t unit) const;
  /// The units of a kind with the largest effects in a category, of either sign.
  [[nodiscard]] std::vector<std::size_t> top_units(unit_kind kind, std::size_t category, std::size_t count) const;
  /// Whether lists of `count` top units hold on texts that they were not chosen on.
  [[nodiscard]] list_check check_top_units(unit_kind kind, std::size_t category, std::size_t count) const;
  /// The fewest units of a kind that can be findings together with the smallest p that the texts allow.
  [[nodiscard]] std::size_t fewest(const unit_effects& of, unit_kind kind, std::size_t category) const;
  /// How many units of a kind are findings at the false discovery rate.
  [[nodiscard]] std::size_t count(const unit_effects& of, unit_kind kind, std::size_t category) const;
};

/// Neurons of a layer that are never above zero, and those that nearly always are.
struct layer_activity {
  std::size_t dead = 0;
  std::size_t always_on = 0;  ///< at 99 % of the tokens of every category
};
[[nodiscard]] layer_activity activity_of(const unit_findings& found, std::size_t layer);

/// What the texts do not allow to say, in sentences; needs `effects`.
[[nodiscard]] std::vector<std::string> limits_of(const unit_findings& found);

/// Tokens around a place on one line, the token itself in ⟦⟧.
[[nodiscard]] std::string context_of(const tokenizer& words, const token_list& tokens, std::size_t at);

/// One row per unit: what it does in each category, and its effects. An empty cell: not known.
void write_unit_table(const std::filesystem::path& file, const unit_findings& found);
/// The findings as JSON. `model`, `architecture`: names. `run`: a record of the run as JSON, or empty.
void write_unit_summary(const std::filesystem::path& file, const unit_findings& found, const tokenizer& words,
                        const std::string& model, const std::string& architecture, const std::string& run = {});

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/unit_findings.ipp>
#endif
