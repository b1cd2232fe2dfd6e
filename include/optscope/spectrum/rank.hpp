// SPDX-License-Identifier: MIT
#pragma once
// Notions of rank, together, from one sorted spectrum and a calibrated noise floor.

#include <array>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/spectrum/spectrum.hpp>

namespace optscope {

/// How wide a block is, in every notion that has a meaning, because none of them is enough alone.
///
/// What these numbers show and what they do not:
///
/// * An edge at a structural bound is no discovery. A LayerNorm before the block takes one direction from each token
///   exactly (its mean) and a second one nearly (its own direction, with the relative gain eps / (var + eps)); a ReLU
///   block has at most min(active units, hidden - 1) directions per token. Compare with `bound` first.
/// * A text of "2 tokens" is 3 with BOS: OPT-125M then has 3 x 768 = 2304 values, 3 of them zero and 3 tiny, so an edge
///   of the attention block is expected at 2298 to 2301; the study that this project began with read 2200 off its plot.
///   Its edge of the dense block near 1240 has the size of 3 tokens with 413 active units each, 13 % of 3072: with ReLU
///   the count of active units is the first thing to look at (`mlp_jacobian` and the model's `mlp_post` give it).
/// * The count above a threshold is a property of the threshold unless the spectrum has a gap there: see
///   `well_determined`, and the curve `decades`. numpy's default, max(rows, cols) eps, is a guess about noise, in float
///   3e-3 at 26,112 values; `floor` here is measured.
/// * The Jacobian is the block at one text and to first order. Small singular values do not say that a direction is
///   unused by other texts, and large ones say nothing about how often it occurs.
struct rank_notions {
  std::size_t size = 0;   ///< singular values in all
  std::size_t bound = 0;  ///< largest rank that the structure allows
  double largest = 0;
  double floor = 0;  ///< phi, absolute: values below are noise
  bool calibrated =
      false;  ///< phi is 10 x the largest of the values that must be zero; otherwise the method's own floor
  std::array<std::size_t, 3> counts{};        ///< values above phi / 10, phi, 10 phi
  bool well_determined = false;               ///< these three agree within 0.1 %
  std::array<std::size_t, 8> decades{};       ///< values above 1e-1, 1e-2, …, 1e-8 of the largest
  double stable_rank = 0;                     ///< sum s^2 / s_1^2
  double effective_rank = 0;                  ///< exp(entropy of s / sum s) (Roy & Vetterli 2007)
  double participation_ratio = 0;             ///< (sum s^2)^2 / sum s^4
  std::array<std::size_t, 3> energy_ranks{};  ///< leading values with 90, 99, 99.9 % of sum s^2
};

/// All notions of a whole spectrum. `must_be_zero`: how many of the values are zero by structure, for example one per
/// token if a LayerNorm comes before the block; as computed they are the smallest ones, and the largest of them shows
/// the noise. `bound`: 0 for size - must_be_zero. All zeros give ranks of 0. Throws `bad_input` if the spectrum does
/// not have all its values.
[[nodiscard]] rank_notions ranks_of(const spectrum& from, std::size_t must_be_zero = 0, std::size_t bound = 0);

/// The notions that the density of a sampled spectrum gives, with its resolution limit as the floor. `bound`: the
/// largest rank that the structure allows. Throws `bad_input` if the spectrum has no density.
[[nodiscard]] rank_notions sampled_ranks_of(const spectrum& from, std::size_t bound);

/// How many of the `decades` of a sampled spectrum are resolved.
[[nodiscard]] std::size_t resolved_decades(const rank_notions& ranks);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/rank.ipp>
#endif
