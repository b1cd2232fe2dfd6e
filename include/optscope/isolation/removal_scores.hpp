// SPDX-License-Identifier: MIT
#pragma once
// Which neurons or heads to remove so that one category of texts is kept: scores, as types.

#include <concepts>
#include <cstddef>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/units/ablation.hpp>
#include <optscope/units/attribution.hpp>
#include <optscope/units/text_groups.hpp>
#include <optscope/units/unit_sums.hpp>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

/// What a score reads besides the activity of the units.
enum class score_input {
  activity,     ///< nothing else
  attribution,  ///< `scored_texts::loss`
  ablation,     ///< `scored_texts::ablation`
  mask          ///< `scored_texts::masks`
};

/// What scores are computed from: scoring texts of each category. Pointers are null unless the score reads them.
struct scored_texts {
  const unit_sums& sums;     ///< the activity of every unit
  const text_groups& texts;  ///< how many texts it comes from
  /// Entries 0…C-1: loss on each category's texts. C…2C-1: loss on category c's text when it follows the start of
  /// another category's.
  const loss_attribution* loss = nullptr;
  const std::vector<std::vector<double>>* masks = nullptr;  ///< [kept category][unit]: what `learn_mask` gave
  const ablation_effects* ablation = nullptr;

  [[nodiscard]] std::size_t categories() const noexcept { return texts.categories(); }
  /// Mean of a statistic over the texts of a category.
  [[nodiscard]] double mean(std::size_t category, unit_statistic statistic, std::size_t unit) const {
    return sums.sum(category, statistic)[unit] / static_cast<double>(texts.texts(category));
  }
  /// Mean over the categories other than `kept`; each counts once.
  [[nodiscard]] double mean_of_others(std::size_t kept, unit_statistic statistic, std::size_t unit) const;
};

/// A removal score gives every unit of the table a number: [unit]. The highest is removed first, NaN never. Members:
///
/// * `score(texts, kept)`: the numbers, to keep the category `kept`;
/// * `reads`: what it reads besides activity. Scores that read the activity alone can be computed in rounds, each after
///   the first units are removed;
/// * `absolute`: true if a number above 0 says that the unit should be removed, so that numbers of neurons and heads
/// can
///   be compared and the score has a size of its own; false if numbers only give an order among units of one kind.
///
/// For example:
///
///     struct quiet_in_kept {                                         // what is least active in the kept category
///       static constexpr score_input reads = score_input::activity;
///       static constexpr bool absolute = false;
///       std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
///         std::vector<double> score(texts.sums.units().size());
///         for (std::size_t u = 0; u < score.size(); ++u) score[u] = -texts.mean(kept, unit_statistic::rms, u);
///         return score;
///       }
///     };
template <class Score>
concept removal_score =
    std::copy_constructible<Score> && requires(const Score& score, const scored_texts& texts, std::size_t kept) {
      { score(texts, kept) } -> std::same_as<std::vector<double>>;
      { score.reads } -> std::convertible_to<score_input>;
      { score.absolute } -> std::convertible_to<bool>;
    };

/// A score of a type that is chosen while the program runs. Itself a removal score.
class any_removal_score {
 public:
  template <class Score>
    requires(!std::same_as<std::remove_cvref_t<Score>, any_removal_score>)
  any_removal_score(Score score) : reads{score.reads}, absolute{score.absolute} {
    static_assert(removal_score<Score>,
                  "a removal score has a call operator (const scored_texts&, std::size_t kept) const that gives a "
                  "std::vector<double>, and the members reads (a score_input) and absolute (a bool)");
    score_ = std::move(score);
  }

  [[nodiscard]] std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
    return score_(texts, kept);
  }

  score_input reads;
  bool absolute;

 private:
  std::function<std::vector<double>(const scored_texts&, std::size_t)> score_;
};

/// Activity in the other categories over activity in the kept one: for neurons by any statistic, for heads by that of
/// the norm of their result.
template <unit_statistic By>
struct activation_ratio {
  static constexpr score_input reads = score_input::activity;
  static constexpr bool absolute = false;
  [[nodiscard]] std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const;
};

/// The largest activity in any other category over that in the kept one. Also finds units that only one of the other
/// categories uses.
template <unit_statistic By>
struct largest_ratio {
  static constexpr score_input reads = score_input::activity;
  static constexpr bool absolute = false;
  [[nodiscard]] std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const;
};

/// Mean activity in the other categories minus that in the kept one.
struct mean_difference {
  static constexpr score_input reads = score_input::activity;
  static constexpr bool absolute = false;
  [[nodiscard]] std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const;
};

/// How much the other categories' loss owes to a unit, to first order and without its sign, over how much the kept
/// category's loss does.
struct attribution_ratio {
  static constexpr score_input reads = score_input::attribution;
  static constexpr bool absolute = false;
  [[nodiscard]] std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const;
};

/// The rank by the ratio of rms, plus `part` times the rank by how much the kept category's loss after the start of
/// another category's text owes to the unit: units that are active elsewhere and keep the model from writing the kept
/// category there.
struct ratio_and_attribution {
  static constexpr score_input reads = score_input::attribution;
  static constexpr bool absolute = false;
  double part = 0.3;
  [[nodiscard]] std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const;
};

/// How much the loss of the other categories' tokens changes when a unit is removed, without its sign, over how much
/// that of the kept category's does. `floor` nats per token are added to both: below it a unit matters to neither. With
/// the sign the score is worse: single units help here and harm there by chance.
struct ablation_effect {
  static constexpr score_input reads = score_input::ablation;
  static constexpr bool absolute = false;
  double floor = 3e-4;
  [[nodiscard]] std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const;
};

/// What a mask that was learned for the kept category leaves out has a score above 0. See `learn_mask`.
struct learned_mask {
  static constexpr score_input reads = score_input::mask;
  static constexpr bool absolute = true;
  [[nodiscard]] std::vector<double> operator()(const scored_texts& texts, std::size_t kept) const {
    return (*texts.masks)[kept];
  }
};

namespace detail {
[[nodiscard]] std::vector<double> activation_ratios(const scored_texts& texts, std::size_t kept,
                                                    unit_statistic statistic);
[[nodiscard]] std::vector<double> largest_ratios(const scored_texts& texts, std::size_t kept, unit_statistic statistic);
}  // namespace detail

template <unit_statistic By>
std::vector<double> activation_ratio<By>::operator()(const scored_texts& texts, std::size_t kept) const {
  return detail::activation_ratios(texts, kept, By);
}
template <unit_statistic By>
std::vector<double> largest_ratio<By>::operator()(const scored_texts& texts, std::size_t kept) const {
  return detail::largest_ratios(texts, kept, By);
}

static_assert(removal_score<activation_ratio<unit_statistic::mean_abs>> &&
              removal_score<largest_ratio<unit_statistic::rms>> && removal_score<mean_difference> &&
              removal_score<attribution_ratio> && removal_score<ratio_and_attribution> &&
              removal_score<ablation_effect> && removal_score<learned_mask> && removal_score<any_removal_score>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/removal_scores.ipp>
#endif
