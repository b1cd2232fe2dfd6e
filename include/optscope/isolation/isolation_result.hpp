// SPDX-License-Identifier: MIT
#pragma once
// What a study of isolation finds, and its files: the summary, the scores and the continuations.

#include <cstddef>
#include <filesystem>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/isolation/behaviour.hpp>
#include <optscope/isolation/controls.hpp>
#include <optscope/isolation/removal_candidates.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/units/units.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// What a model does as more and more units are removed.
struct removal_curve {
  std::vector<double> share{};          ///< of the units
  std::vector<behaviour> behaviours{};  ///< without what was written
};

/// What is found for one kept category.
struct isolated_category {
  removal_curve by_score{}, random{}, reversed{};
  std::size_t removed = 0;             ///< units
  counted own{};                       ///< prompts of the category that the whole model continues as such
  bool reached = false;                ///< the removal turns other prompts at least 95 % as often as that
  std::vector<std::size_t> numbers{};  ///< the removed units
  removal what{};
  behaviour final{};  ///< on prompts and texts that nothing was chosen on

  [[nodiscard]] bool measured() const noexcept { return final.measured(); }
};

/// A unit with its score, in the order of removal.
struct scored_unit {
  unit what;
  double score;  ///< NaN: none
  bool removed;
};

/// A prompt and how it is continued.
struct continued_prompt {
  std::size_t category;
  std::string prompt, before, after;
  std::size_t after_is;  ///< the category that the judge sees; the number of categories for none
};

/// How many pieces of held-out texts of a category are judged to be of each.
struct judged_pieces {
  std::size_t pieces = 0;
  std::vector<std::size_t> judged{};   ///< [category, last: none]
  std::size_t loops = 0, passing = 0;  ///< that are a loop; that pass the check
};

/// The same study with the halves of the texts swapped, the size of the removal given.
struct swapped_halves {
  std::size_t removed = 0;
  behaviour whole{}, final{};
};

/// Everything that a study of isolation finds.
struct isolation_result {
  std::vector<std::string> categories{};
  std::size_t kept = 0;
  std::size_t layers = 0;
  candidate_terms terms{};
  unit_table units;
  std::vector<unit_kind> kinds{};
  std::size_t units_in_all = 0;  ///< that may be removed
  behaviour whole{}, whole_on_curves{};
  std::vector<isolated_category> of{};  ///< [kept category]
  std::vector<control_result> controls{};
  set_overlaps overlaps{};
  std::vector<scored_unit> scores{};  ///< to keep the category `kept`
  std::vector<continued_prompt> continuations{};
  std::vector<judged_pieces> held_out{}, shuffled{};  ///< [category]: how good the judge is; tokens in another order
  std::optional<swapped_halves> swapped{};            ///< for the category `kept`

  std::size_t draws = 0;          ///< random removals for each point of a curve
  std::size_t curve_prompts = 0;  ///< of each category
  std::size_t curve_points = 0;
  bool fewer_prompts = false, fewer_points = false;  ///< than asked for, to save time

  [[nodiscard]] const isolated_category& found() const { return of[kept]; }
  [[nodiscard]] const std::string& kept_name() const { return categories[kept]; }
  /// The name of what a judge says: a category or "none".
  [[nodiscard]] std::string class_name(std::size_t judged) const {
    return judged < categories.size() ? categories[judged] : "none";
  }
  [[nodiscard]] std::string verdict() const {
    return controls.empty() ? std::string{}
                            : sentence_of(verdict_of(controls, kept, found().reached), terms, layers, kept_name());
  }
};

/// What the summary says of a run besides its result.
struct isolation_record {
  std::string model, by, replace, units;
  std::vector<std::size_t> texts{}, scoring_tokens{};        ///< [category]
  std::vector<std::string> scoring_half{}, measured_half{};  ///< files; a category's only file is cut in the middle
  std::string check{};                                       ///< name of the check of continuations
  bool even_layers = false;                                  ///< the smaller checkpoint has layers of one size
  std::vector<std::string> limits{};                         ///< what the texts and the time did not allow
  std::string run{};                                         ///< a record of the run as JSON, or empty
};

/// The result as JSON.
void write_summary(const std::filesystem::path& file, const isolation_result& result, const isolation_record& record);
/// One row per unit, in the order of removal: kind, layer, index, score, whether it is removed.
void write_scores(const std::filesystem::path& file, const isolation_result& result);
/// The prompts as JSON, each with its continuation before and after the removal.
void write_continuations(const std::filesystem::path& file, const isolation_result& result);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/isolation_result.ipp>
#endif
