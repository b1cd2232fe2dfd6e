// SPDX-License-Identifier: MIT
#pragma once
// What may be removed from a model, and in which order: the concept that the study of isolation is written for.

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/isolation/removal_order.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/units/category_windows.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// Told what is being computed, how much of it is done and how much there is in all, in units of its own.
using study_progress = std::function<void(const std::string& what, double done, double all)>;

/// The texts that scores are computed from.
struct scoring_texts {
  std::vector<std::string> categories{};  ///< names
  category_texts texts{};                 ///< [category][text]
  category_texts written{};               ///< [category][text]: written by the model itself; may be empty
  std::optional<token_id> bos{};          ///< with which texts begin

  /// All of them: [category][text].
  [[nodiscard]] category_texts all() const {
    category_texts result = texts;
    for (std::size_t c = 0; c < written.size(); ++c) {
      result[c].insert(result[c].end(), written[c].begin(), written[c].end());
    }
    return result;
  }
};

/// How much two sets of units overlap that should be the same; nothing where it is not known.
struct set_overlaps {
  std::optional<double> of_halves{};  ///< from two halves of the scoring texts
  std::optional<double> of_seeds{};   ///< from two seeds, for a score that draws
};

/// How the study names what it does with the candidates.
struct candidate_terms {
  std::string_view part_of_layer;  ///< "half": the part of a layer that is removed alone
  std::string_view kept_most;      ///< which units are removed last: "of highest activity in the kept category"
};

/// What may be removed. A type models it with these members, of which the first four are constants:
///
/// * `terms`: a `candidate_terms`;
/// * `most_on_curves`: the largest share of the units that is removed when curves are measured;
/// * `one_in`: one in this many of a layer's units is removed when a layer is tested alone;
/// * `first_layer`: the first layer of which anything can be removed;
/// * `ordering()`: a `unit_ordering`, with the numbers of the units;
/// * `depends_on_kept()`: whether the removal of the same units depends on which category is kept;
/// * `prepare(categories, report)`: computes what is needed to keep each of these categories; called once, first;
/// * `scores(kept)`: [unit], the highest is removed first;
/// * `order(kept, order, seed)`: all units that may be removed;
/// * `removal_of(numbers, kept)`: the removal of some units;
/// * `own_count(kept, numbers)`: how many units of an order should be removed, if the scores themselves say so;
/// * `compare(numbers, kept, report)`: how much sets of the same size overlap that should be the same.
///
/// `unit_candidates` (neurons and heads) and `direction_candidates` (directions of the stream) are shipped; the README
/// of this folder shows another.
template <class C>
concept removal_candidates =
    requires(C& candidates, const C& fixed, std::size_t kept, const std::vector<std::size_t>& numbers,
             removal_order order, std::uint64_t seed, const study_progress& report) {
      { C::terms } -> std::convertible_to<candidate_terms>;
      { C::most_on_curves } -> std::convertible_to<double>;
      { C::one_in } -> std::convertible_to<std::size_t>;
      { C::first_layer } -> std::convertible_to<std::size_t>;
      { fixed.ordering() } -> std::convertible_to<const unit_ordering&>;
      { fixed.depends_on_kept() } -> std::convertible_to<bool>;
      candidates.prepare(numbers, report);
      { fixed.scores(kept) } -> std::same_as<std::vector<double>>;
      { fixed.order(kept, order, seed) } -> std::same_as<std::vector<std::size_t>>;
      { fixed.removal_of(numbers, kept) } -> std::same_as<removal>;
      { candidates.own_count(kept, numbers) } -> std::same_as<std::optional<std::size_t>>;
      { candidates.compare(numbers, kept, report) } -> std::same_as<set_overlaps>;
    };

}  // namespace optscope
