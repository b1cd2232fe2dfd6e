// SPDX-License-Identifier: MIT
#pragma once
// Bodies of spectrum_tables.hpp.

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optscope/core/architecture.hpp>
#include <optscope/spectrum/kink.hpp>
#include <optscope/spectrum/number_text.hpp>
#include <optscope/spectrum/spectrum_tables.hpp>
#include <utility>

namespace optscope {
namespace detail {

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

inline constexpr std::array energy_shares{0.9, 0.99, 0.999};  // of rank_notions::energy_ranks

}  // namespace detail

OPTSCOPE_INLINE std::vector<spectrum_table> tables_of(std::span<const block_spectrum> spectra, std::size_t hidden) {
  spectrum_table table{
      "Ranks, in every notion",
      {"spectrum", "analyser", "values", "bound", "above φ/10", "above φ", "above 10 φ", "well determined",
       "φ / largest", "effective", "stable", "participation", "90 % energy", "99 %", "99.9 %"},
      {}},
      decades{"Values above a share of the largest", {"spectrum"}, {}},
      kinks{
          "Widest gaps and strongest bends above φ",
          {"spectrum", "gap after", "decades", "the next widest", "chance", "bend at", "explained", "misfit, decades"},
          {}};
  for (int i = 1; i <= 8; ++i) decades.columns.push_back("1e-" + std::to_string(i));
  for (const block_spectrum& each : spectra) {
    const rank_notions r = each.ranks(hidden);
    const auto& density = each.found.density;
    const auto with_error = [](const sampled_value& v) {
      return detail::short_number(v.value) + " ± " + detail::short_number(v.error(), 2);
    };
    std::vector<std::string> row{each.of.name, each.found.method, std::to_string(r.size), std::to_string(r.bound)};
    for (const std::size_t count : r.counts) row.push_back(density ? "" : std::to_string(count));
    row.push_back(density ? "" : r.well_determined ? "yes" : "no");
    row.push_back(detail::short_number(r.largest > 0 ? r.floor / r.largest : 0, 2));
    row.push_back(density ? with_error(density->effective_rank()) : detail::short_number(r.effective_rank));
    row.push_back(density ? with_error(density->stable_rank()) : detail::short_number(r.stable_rank));
    row.push_back(density ? with_error(density->participation_ratio()) : detail::short_number(r.participation_ratio));
    for (std::size_t i = 0; i < r.energy_ranks.size(); ++i) {
      row.push_back(density ? with_error(density->energy_rank(detail::energy_shares[i]))
                            : std::to_string(r.energy_ranks[i]));
    }
    table.rows.push_back(std::move(row));
    if (!density) {
      const auto gap = widest_gap(each.found.values, r.floor);
      const auto bend = strongest_bend(each.found.values, r.floor);
      kinks.rows.push_back(
          {each.of.name, gap ? std::to_string(gap->count) : "none of 0.3 decade or more",
           gap ? detail::short_number(gap->decades, 2) : "", gap ? detail::short_number(gap->runner_up, 2) : "",
           gap ? detail::short_number(gap->chance, 2) : "", bend ? std::to_string(bend->count) : "",
           bend ? detail::short_number(bend->explained, 2) : "", bend ? detail::short_number(bend->misfit, 2) : ""});
    }
    std::vector<std::string>& counts = decades.rows.emplace_back(1, each.of.name);
    const std::size_t shown = density ? resolved_decades(r) : r.decades.size();
    for (std::size_t i = 0; i < r.decades.size(); ++i) {
      if (i >= shown) {
        counts.push_back("not resolved");
      } else if (density) {
        const spectral_count count = density->above(r.largest * std::pow(10.0, -1 - static_cast<double>(i)));
        counts.push_back(detail::short_number(std::round(count.count), 7) + " ± " +
                         detail::short_number(count.error(), 2));
      } else {
        counts.push_back(std::to_string(r.decades[i]));
      }
    }
  }
  std::vector<spectrum_table> tables{std::move(table), std::move(decades)};
  if (!kinks.rows.empty()) tables.push_back(std::move(kinks));
  if (spectra.empty() || spectra[0].share_read.empty()) return tables;
  spectrum_table shares{
      "Activations in the leading subspace",
      {"spectrum", "directions", "share of the input in what it reads: BOS", "median of the other tokens",
       "share of the output in what it writes: BOS", "median of the other tokens", "by chance"},
      {}};
  for (const block_spectrum& each : spectra) {
    std::vector<std::string>& row = shares.rows.emplace_back(1, each.of.name);
    row.push_back(std::to_string(each.reads.rows.rows()));
    for (const std::vector<double>* of : {&each.share_read, &each.share_written}) {
      row.push_back(detail::short_number(of->front(), 3));
      row.push_back(of->size() > 1 ? detail::short_number(detail::median({of->begin() + 1, of->end()}), 3) : "");
    }
    row.push_back(detail::short_number(static_cast<double>(each.reads.rows.rows()) / static_cast<double>(hidden), 2));
  }
  tables.push_back(std::move(shares));
  return tables;
}

OPTSCOPE_INLINE std::vector<std::string> notes_of(std::span<const block_spectrum> spectra, const architecture& shape) {
  const std::string hidden = std::to_string(shape.hidden);
  std::vector<std::string> notes{
      "Each spectrum belongs to the Jacobian of one block at one text: how a small change of the layer's input (at all "
      "tokens at once, LayerNorm included, residual left out) changes what the block adds. It describes the block to "
      "first order at that text. A small singular value does not say that other texts leave that direction unused, and "
      "a large one does not say how often the direction occurs.",
      "An edge at a dashed line is no discovery. LayerNorm takes one direction from each token exactly (the mean) and "
      "nearly a second one (the token's own, with the gain eps / (var + eps)), so attention over n tokens has at most "
      "n (" +
          hidden +
          " - 1) directions. A ReLU block has, for each token, at most as many directions as active neurons, and at "
          "most "
          "hidden - 1: the dense block's edge counts active neurons.",
      "The number of tokens includes BOS. A text of \"2 tokens\" is 3 with it: for OPT-125M that makes 3 x 768 = 2304 "
      "values, and an edge read off near 2200 is where attention ends at 2301. An edge of the dense block near 1240 is "
      "3 tokens with about 413 active neurons each, 13 % of 3072: ReLU, not a narrow pass.",
      "φ is the noise floor: ten times the largest of the values that must be zero, or the method's own floor if that "
      "is higher. A rank is a property of its threshold unless the counts above φ/10, φ and 10 φ agree (well "
      "determined). A sampled spectrum (quadrature) shows nothing below its resolution limit, and each of its counts "
      "has an error: twice the standard error of sampling, plus the resolution. It holds for each threshold by itself: "
      "a curve leaves such a band somewhere more often than in 5 % of the cases.",
      "The gap is the widest one between neighbouring values, from 0.3 decade on; chance is at most the probability "
      "of one as wide in a smooth spectrum, from ten gaps to either side; it is 1 within five values of an end. A bend "
      "is where two lines fit best; any curved spectrum has one, and it is "
      "a kink only if the second line explains nearly all of the deviation and the misfit is small.",
      "Width: the narrowest layer has the strictly smallest effective rank relative to the bound, by the geometric "
      "mean "
      "over the texts. It stands out if, at the same text, every other layer is wider by more than texts and sampling "
      "can explain (95 % intervals of the mean over texts, from 3 texts on; texts must be independent documents). Of "
      "layers that are equally wide, one stands out in at most 5 % of the cases. A layer that stands out is a tight "
      "pass if it is neither the first nor the last.",
      "Directions: the leading right singular vectors are what a block reads, the left ones what it writes; the "
      "leading "
      "directions of hidden space are taken from both, whatever the token. An overlap is the mean squared cosine of "
      "the "
      "principal angles between two such subspaces: 1 if they are the same, about (directions) / (hidden size) if they "
      "are unrelated. The share of an activation in a subspace is the share of its square: of the layer's input in "
      "what "
      "the block reads, of the block's output in what it writes."};
  std::string unsure, active;
  for (const block_spectrum& each : spectra) {
    if (each.residual > 0)
      unsure += (unsure.empty() ? "" : "; ") + each.of.name + " " + detail::short_number(each.residual, 2);
  }
  if (!unsure.empty()) {
    notes.push_back(
        "Leading directions that did not converge, with their worst residual relative to the largest value: " + unsure +
        ".");
  }
  for (const block_spectrum& each : spectra) {
    if (each.active.empty()) continue;
    const auto [least, most] = std::minmax_element(each.active.begin(), each.active.end());
    const std::size_t sum = std::accumulate(each.active.begin(), each.active.end(), std::size_t{0});
    active += (active.empty() ? "" : "; ") + each.of.name + " " + std::to_string(*least) + " to " +
              std::to_string(*most) + ", " + std::to_string(sum) + " in all";
  }
  if (!active.empty()) {
    notes.push_back("Neurons whose derivative is not zero, of " + std::to_string(shape.ffn) +
                    ", fewest and most per token (BOS included): " + active + ".");
  }
  return notes;
}

OPTSCOPE_INLINE void write_ranks(json_writer& json, const block_spectrum& of, std::size_t hidden) {
  const rank_notions r = of.ranks(hidden);
  const auto list = [&](const char* name, const auto& values, std::size_t count) {
    json.key(name).begin_array();
    for (std::size_t i = 0; i < count; ++i) json.value(values[i]);
    json.end_array();
  };
  const auto& density = of.found.density;
  json.field("size", r.size).field("bound", r.bound).field("largest", r.largest).field("floor", r.floor);
  if (!density) {
    json.field("floor_calibrated", r.calibrated);
    list("counts_at_floor_over_10_floor_10_floor", r.counts, 3);
    json.field("well_determined", r.well_determined);
    list("counts_by_decade", r.decades, 8);
  } else {
    json.key("counts_by_decade").begin_array();
    for (std::size_t i = 0; i < resolved_decades(r); ++i) {
      const spectral_count count = density->above(r.largest * std::pow(10.0, -1 - static_cast<double>(i)));
      json.begin_object().field("count", count.count).field("sampling", count.sampling);
      json.field("resolution", count.resolution).end_object();
    }
    json.end_array().field("effective_rank_error", density->effective_rank().error());
    json.field("stable_rank_error", density->stable_rank().error());
    json.field("participation_ratio_error", density->participation_ratio().error());
    json.field("steps", density->steps).field("probes", density->nodes.size()).field("exact_zeros", density->zeros);
  }
  json.field("effective_rank", r.effective_rank).field("stable_rank", r.stable_rank);
  json.field("participation_ratio", r.participation_ratio);
  list("energy_ranks_90_99_999", r.energy_ranks, 3);
  if (density) {
    std::array<double, 3> errors{};
    for (std::size_t i = 0; i < 3; ++i) errors[i] = density->energy_rank(detail::energy_shares[i]).error();
    list("energy_ranks_errors", errors, 3);
    return;
  }
  if (const auto gap = widest_gap(of.found.values, r.floor)) {
    json.key("gap").begin_object().field("count", gap->count).field("decades", gap->decades);
    json.field("runner_up", gap->runner_up).field("chance", gap->chance).end_object();
  }
  if (const auto bend = strongest_bend(of.found.values, r.floor)) {
    json.key("bend").begin_object().field("count", bend->count).field("explained", bend->explained);
    json.field("misfit_decades", bend->misfit).end_object();
  }
}

}  // namespace optscope
