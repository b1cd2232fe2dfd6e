// SPDX-License-Identifier: MIT
#pragma once
// Directions of the stream in which other categories of text lie far from one that is kept, layer by layer.

#include <cstddef>
#include <memory>
#include <optscope/core/compiled.hpp>
#include <optscope/isolation/stream_moments.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <vector>

namespace optscope {

/// All directions of the stream into one layer. First come those along which the other categories' texts lie farthest
/// from the kept category's mean, in units of the kept category's own spread.
struct layer_directions {
  /// [direction]: mean square of the other categories about the kept mean, over the variance of the kept category.
  std::vector<double> ratio{};
  std::shared_ptr<const stream_basis> basis{};  ///< `bias` is the kept category's mean
};

/// Generalised eigenvectors of A v = λ B v, λ descending: B is the kept category's covariance, with 1e-3 of its mean
/// variance added on the diagonal, A the second moments of the others about its mean, each category counting once.
/// Erasing a direction (x -= B v vᵀ (x - m)) leaves unchanged what is uncorrelated with it in the kept category. Throws
/// `bad_input` if the kept category's stream is the same everywhere.
[[nodiscard]] layer_directions directions_of(const stream_moments& moments, std::size_t layer, std::size_t kept);

/// The directions of every layer; the first layer has none.
///
///     auto halves = stream_moments_of(opt, texts, words.bos());  // texts [category][text]
///     halves[0].add(halves[1]);
///     const std::vector<layer_directions> all = directions_of(halves[0], kept);
///     const unit_table units{opt.shape(), opt.shape().hidden};
///     const std::vector<std::size_t> one{units.first(unit_kind::direction, 6)};  // the first into layer 6
///     direction_edits edits = direction_edits_of(removal_of(one, units, all));
///     generate(opt, prompts, {}, edits);
[[nodiscard]] std::vector<layer_directions> directions_of(const stream_moments& moments, std::size_t kept);

/// The removal of these units, which are directions of `all` [layer].
[[nodiscard]] removal removal_of(std::span<const std::size_t> numbers, const unit_table& units,
                                 const std::vector<layer_directions>& all);

/// How much two removals of directions share: the squared cosines of the angles between what they span, over what at
/// least one of them spans, summed over layers. In coordinates in which the kept category's stream has the covariance
/// 1; `whole` gives them. 1 for two empty removals.
[[nodiscard]] double overlap(const removal& a, const removal& b, const std::vector<layer_directions>& whole);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/stream_directions.ipp>
#endif
