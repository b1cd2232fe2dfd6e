// SPDX-License-Identifier: MIT
#pragma once
// Directions of the residual stream as what may be removed, in the order of how far other categories lie along them.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <optscope/isolation/removal_candidates.hpp>
#include <optscope/isolation/removal_order.hpp>
#include <optscope/isolation/stream_directions.hpp>
#include <optscope/isolation/stream_moments.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// Models `removal_candidates`. A removed direction stands at the kept category's mean. See `directions_of`.
///
///     direction_candidates parts{opt, texts, {1, 2, 3}};  // directions of the stream into layers 1 to 3
///     parts.prepare({kept}, {});
///     const removal what = parts.removal_of(parts.ordering().first(parts.order(kept, removal_order::by_score), 60),
///                                           kept);
template <class Model>
class direction_candidates {
 public:
  static constexpr candidate_terms terms{.part_of_layer = "a tenth", .kept_most = "of the kept category's own spread"};
  static constexpr double most_on_curves = 0.1;
  static constexpr std::size_t one_in = 10;
  static constexpr std::size_t first_layer = 1;  // the embedding goes into layer 0

  /// Directions of the stream into `layers`, ascending, of which 0 is none.
  direction_candidates(Model& opt, const scoring_texts& texts, std::vector<std::size_t> layers)
      : opt_{opt},
        texts_{texts},
        ordering_{unit_table{opt.shape(), opt.shape().hidden},
                  {.kinds = {unit_kind::direction}, .layers = std::move(layers)}} {}

  [[nodiscard]] const unit_ordering& ordering() const noexcept { return ordering_; }
  [[nodiscard]] bool depends_on_kept() const noexcept { return true; }

  /// Costs a run over the scoring texts and an eigendecomposition for each layer and category.
  void prepare(const std::vector<std::size_t>& categories, const study_progress& report) {
    for (stream_moments& half : stream_moments_of(opt_, texts_.all(), texts_.bos)) halves_.push_back(std::move(half));
    stream_moments whole = halves_[0];
    whole.add(halves_[1]);
    directions_.resize(texts_.texts.size());
    for (std::size_t i = 0; i < categories.size(); ++i) {
      directions_[categories[i]] = directions_of(whole, categories[i]);
      if (report) report("directions", static_cast<double>(i + 1), static_cast<double>(categories.size()));
    }
  }

  [[nodiscard]] std::vector<double> scores(std::size_t kept) const { return ratios_of(directions_[kept]); }

  [[nodiscard]] std::vector<std::size_t> order(std::size_t kept, removal_order order, std::uint64_t seed = 0) const {
    return ordering_.order(scores(kept), order, seed);
  }

  [[nodiscard]] removal removal_of(const std::vector<std::size_t>& numbers, std::size_t kept) const {
    return optscope::removal_of(numbers, ordering_.units(), directions_[kept]);
  }

  [[nodiscard]] std::optional<std::size_t> own_count(std::size_t, const std::vector<std::size_t>&) const {
    return std::nullopt;
  }

  /// The directions from each half of the scoring texts; nothing if a half has fewer than two tokens of a category.
  [[nodiscard]] set_overlaps compare(const std::vector<std::size_t>& found, std::size_t kept,
                                     const study_progress&) const {
    std::vector<removal> sets;
    for (const stream_moments& half : halves_) {
      for (std::size_t c = 0; c < half.categories(); ++c) {
        if (half.tokens(c) < 2) return {};
      }
      const std::vector<layer_directions> directions = directions_of(half, kept);
      std::vector<std::size_t> numbers = ordering_.order(ratios_of(directions), removal_order::by_score);
      numbers.resize(found.size());
      sets.push_back(optscope::removal_of(numbers, ordering_.units(), directions));
    }
    return {.of_halves = overlap(sets[0], sets[1], directions_[kept])};
  }

 private:
  [[nodiscard]] std::vector<double> ratios_of(const std::vector<layer_directions>& directions) const {
    const unit_table& units = ordering_.units();
    std::vector<double> ratio(units.size(), std::numeric_limits<double>::quiet_NaN());
    for (const std::size_t layer : ordering_.layers()) {
      const std::size_t first = units.first(unit_kind::direction, layer);
      std::ranges::copy(directions[layer].ratio, ratio.begin() + static_cast<std::ptrdiff_t>(first));
    }
    return ratio;
  }

  Model& opt_;
  const scoring_texts& texts_;
  unit_ordering ordering_;
  std::vector<stream_moments> halves_;
  std::vector<std::vector<layer_directions>> directions_;  // [category][layer]
};

}  // namespace optscope
