// SPDX-License-Identifier: MIT
#pragma once
// Bodies of width.hpp.

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <optscope/core/students_quantile.hpp>
#include <optscope/spectrum/number_text.hpp>
#include <optscope/spectrum/tight_pass.hpp>
#include <optscope/spectrum/width.hpp>

namespace optscope {
namespace detail {

/// How much wider one layer is than another: the mean of a logarithm over texts, and its 95 % interval.
struct width_gap {
  double mean = 0, low = 0, high = 0;
};

/// `widths` [text][layer]; `sampling` [layer]: the relative error of a width.
inline width_gap gap_between(const std::vector<std::vector<double>>& widths, const std::vector<double>& sampling,
                             std::size_t narrow, std::size_t wide) {
  const auto texts = static_cast<double>(widths.size());
  std::vector<double> gaps;
  for (const std::vector<double>& of_text : widths) gaps.push_back(std::log(of_text[wide] / of_text[narrow]));
  const double mean = std::accumulate(gaps.begin(), gaps.end(), 0.0) / texts;
  if (gaps.size() < 3) return {.mean = mean, .low = mean, .high = mean};
  double squares = 0;
  for (const double gap : gaps) squares += (gap - mean) * (gap - mean);
  const double of_texts = students_quantile(texts - 1) * std::sqrt(squares / (texts - 1) / texts);
  const double half = std::hypot(of_texts, sampling[narrow], sampling[wide]);
  return {.mean = mean, .low = mean - half, .high = mean + half};
}

inline std::string percent(double share) { return short_number(100 * share, 2) + " %"; }

inline std::string verdict_of(const layer_widths& found, double share, double sampling) {
  const std::size_t texts = found.of_texts.size();
  std::string text = "layer " + short_number(*found.narrowest) + " is the narrowest: its effective rank is " +
                     short_number(share, 3) + " of the bound" + (texts > 1 ? " on average. " : ". ");
  if (texts > 1) {
    text += "At " + std::to_string(found.narrowest_at) + " of the " + std::to_string(texts) +
            " texts it is the narrowest. ";
  }
  text += "Layer " + short_number(*found.next) + " comes closest, " + percent(found.margin) + " wider";
  if (found.stands_out) {
    text += " (95 % interval over " + std::to_string(texts) + " texts: " + percent(*found.low) + " to " +
            percent(*found.high) + "), so layer " + short_number(*found.narrowest) +
            (*found.stands_out ? " stands out." : " does not stand out: other texts may have another one.");
  } else {
    if (sampling > 0) text += ", ± " + percent(sampling) + " for sampling";
    text += ". Three texts or more would tell whether texts differ by more than that.";
  }
  if (!found.inside) text += " It is the first or the last layer: the layers do not narrow and widen again.";
  return text;
}

}  // namespace detail

OPTSCOPE_INLINE layer_widths widths_over_layers(std::span<const std::vector<const block_spectrum*>> texts,
                                                std::size_t hidden) {
  layer_widths result;
  if (texts.empty()) return result;
  const std::size_t depth = texts[0].size();
  for (const char* name : {"effective rank", "99 % of the energy", "participation ratio", "stable rank"}) {
    result.notions.emplace_back(name, std::vector<double>(depth));  // logarithms, until all texts are in
  }
  std::vector<double> sampling(depth);
  for (const block_spectrum* at : texts[0]) result.layers.push_back(static_cast<double>(at->of.layer));
  for (const std::vector<const block_spectrum*>& layers : texts) {
    std::vector<double> own;
    std::array<std::vector<double>, 4> logarithms;
    for (std::size_t l = 0; l < depth; ++l) {
      const rank_notions found = layers[l]->ranks(hidden);
      const auto bound = static_cast<double>(std::max<std::size_t>(found.bound, 1));
      const double notions[] = {found.effective_rank, static_cast<double>(found.energy_ranks[1]),
                                found.participation_ratio, found.stable_rank};
      for (std::size_t i = 0; i < 4; ++i) {  // a block without any value has a width, too, but no logarithm of 0
        const double share = std::max(notions[i] / bound, std::numeric_limits<double>::min());
        logarithms[i].push_back(std::log(share));
        if (i == 0) own.push_back(share);
      }
      if (const auto& density = layers[l]->found.density) {
        const sampled_value rank = density->effective_rank();
        sampling[l] = std::max(sampling[l], rank.error() / rank.value);
      }
    }
    if (std::ranges::find(result.of_texts, own) != result.of_texts.end()) continue;
    result.of_texts.push_back(std::move(own));
    for (std::size_t i = 0; i < 4; ++i) {
      for (std::size_t l = 0; l < depth; ++l) result.notions[i].second[l] += logarithms[i][l];
    }
  }
  for (auto& [name, values] : result.notions) {
    for (double& value : values) value = std::exp(value / static_cast<double>(result.of_texts.size()));
  }
  const std::vector<double>& widths = result.notions[0].second;
  const auto narrow = find_narrowest(widths);
  if (!narrow) {
    if (depth > 1) result.verdict = "several layers are equally narrow.";
    return result;
  }
  std::size_t next = depth;
  detail::width_gap gap;
  for (std::size_t l = 0; l < depth; ++l) {
    if (l == narrow->layer) continue;
    const detail::width_gap to = detail::gap_between(result.of_texts, sampling, narrow->layer, l);
    if (next != depth && to.low >= gap.low) continue;
    next = l;
    gap = to;
  }
  result.narrowest = result.layers[narrow->layer];
  result.next = result.layers[next];
  result.margin = std::expm1(gap.mean);
  result.inside = narrow->inside;
  for (const std::vector<double>& own : result.of_texts) {
    const auto here = find_narrowest(own);
    result.narrowest_at += here && here->layer == narrow->layer;
  }
  if (result.of_texts.size() >= 3) {
    result.low = std::expm1(gap.low);
    result.high = std::expm1(gap.high);
    result.stands_out = gap.low > 0;
  }
  result.verdict = detail::verdict_of(result, narrow->share, std::hypot(sampling[narrow->layer], sampling[next]));
  return result;
}

}  // namespace optscope
