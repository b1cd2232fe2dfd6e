// SPDX-License-Identifier: MIT
#pragma once
// Bodies of width.hpp.

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optscope/spectrum/number_text.hpp>
#include <optscope/spectrum/width.hpp>

namespace optscope {
namespace detail {

inline double share_of_bound(double rank, const rank_notions& of) {
  return rank / static_cast<double>(std::max<std::size_t>(of.bound, 1));
}

/// Standard deviation over the texts of effective rank / bound, relative to its mean; from 3 texts.
inline std::optional<double> spread_over(std::span<const block_spectrum* const> texts, std::size_t hidden) {
  if (texts.size() < 3) return std::nullopt;
  std::vector<double> shares;
  for (const block_spectrum* text : texts) {
    const rank_notions ranks = text->ranks(hidden);
    shares.push_back(share_of_bound(ranks.effective_rank, ranks));
  }
  const auto count = static_cast<double>(shares.size());
  const double mean = std::accumulate(shares.begin(), shares.end(), 0.0) / count;
  double squares = 0;
  for (const double share : shares) squares += (share - mean) * (share - mean);
  return std::sqrt(squares / (count - 1)) / mean;
}

inline std::string percent(double share) { return short_number(100 * share, 2) + " %"; }

}  // namespace detail

OPTSCOPE_INLINE layer_widths widths_over_layers(std::span<const block_spectrum* const> along,
                                                std::span<const block_spectrum* const> texts, std::size_t hidden) {
  layer_widths result;
  result.notions = {
      {"effective rank", {}}, {"99 % of the energy", {}}, {"participation ratio", {}}, {"stable rank", {}}};
  std::vector<rank_notions> ranks;
  double sampling = 0;
  for (const block_spectrum* at : along) {
    const rank_notions found = at->ranks(hidden);
    ranks.push_back(found);
    result.layers.push_back(static_cast<double>(at->of.layer));
    result.notions[0].second.push_back(detail::share_of_bound(found.effective_rank, found));
    result.notions[1].second.push_back(detail::share_of_bound(static_cast<double>(found.energy_ranks[1]), found));
    result.notions[2].second.push_back(detail::share_of_bound(found.participation_ratio, found));
    result.notions[3].second.push_back(detail::share_of_bound(found.stable_rank, found));
    if (const auto& density = at->found.density) {
      const sampled_value rank = density->effective_rank();
      sampling = std::max(sampling, rank.error() / rank.value);
    }
  }
  const auto narrow = find_tight_pass(ranks);
  if (!narrow) {
    result.verdict = "several layers are equally narrow.";
    return result;
  }
  result.narrowest = result.layers[narrow->layer];
  result.margin = narrow->margin;
  result.inside = narrow->inside;
  result.spread = detail::spread_over(texts, hidden);
  result.verdict = "layer " + detail::short_number(*result.narrowest) + " is the narrowest: its effective rank is " +
                   detail::short_number(narrow->share, 3) + " of the bound, and the next narrowest layer is " +
                   detail::percent(narrow->margin) + " wider.";
  if (sampling > 0) result.verdict += " Sampling leaves ± " + detail::percent(sampling) + ".";
  if (result.spread) {
    result.stands_out = narrow->margin > std::hypot(2 * *result.spread, 2 * sampling);
    result.verdict += " Texts differ by " + detail::percent(*result.spread) + " (standard deviation over " +
                      std::to_string(texts.size()) + " texts at layer " + std::to_string(texts[0]->of.layer) +
                      "), so it " + (*result.stands_out ? "stands out." : "does not stand out.");
  } else {
    result.verdict += " Three texts or more would tell whether texts differ by more than that.";
  }
  if (!narrow->inside)
    result.verdict += " It is the first or the last layer: the layers do not narrow and widen again.";
  return result;
}

}  // namespace optscope
