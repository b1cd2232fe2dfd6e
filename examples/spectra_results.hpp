// SPDX-License-Identifier: MIT
#pragma once
// What tight_pass says of its spectra: ranks, widths, overlaps of directions; report, pictures, summary.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/spectra_report.hpp>
#include <optscope/similarity/blocks.hpp>
#include <optscope/spectrum/kink.hpp>
#include <string>
#include <utility>
#include <vector>

#include "spectra_jobs.hpp"

namespace spectra {

/// Jobs that one picture compares.
struct comparison {
  std::string name, title;                     // "layers", "Spectra over the layers"
  std::vector<std::vector<std::size_t>> jobs;  // (block, curve)
  std::vector<std::string> labels;             // [curve]
  std::vector<plot::rgb> colours;              // [curve]
  std::vector<std::size_t> categories{};       // [curve], of texts
  std::vector<plot::row_group> groups{};       // of the curves
};

inline std::string title_of(const std::string& block) { return block == "attn" ? "attention" : "dense (MLP)"; }

/// All notions; of a sampled spectrum those that its density gives, with the resolution limit as the floor.
inline rank_notions ranks_of(const job& of, const architecture& shape) {
  const std::size_t bound = of.bound(shape);
  if (!of.found.density) return optscope::ranks_of(of.found, of.found.size - bound, bound);
  const spectral_density& density = *of.found.density;
  const auto rounded = [](double value) { return static_cast<std::size_t>(std::lround(value)); };
  rank_notions ranks;
  ranks.size = of.found.size;
  ranks.bound = bound;
  ranks.largest = density.largest();
  ranks.floor = density.resolution_limit();
  ranks.effective_rank = density.effective_rank().value;
  ranks.stable_rank = density.stable_rank().value;
  ranks.participation_ratio = density.participation_ratio().value;
  for (std::size_t i = 0; i < 3; ++i) {
    ranks.energy_ranks[i] = rounded(density.energy_rank(1 - std::pow(10.0, -1 - static_cast<double>(i))).value);
    ranks.counts[i] = rounded(density.above(ranks.floor * std::pow(10.0, static_cast<double>(i) - 1)).count);
  }
  for (std::size_t i = 0; i < ranks.decades.size(); ++i) {
    ranks.decades[i] = rounded(density.above(ranks.largest * std::pow(10.0, -1 - static_cast<double>(i))).count);
  }
  return ranks;
}

/// How many of the decades a sampled spectrum resolves.
inline std::size_t resolved_decades(const rank_notions& ranks) {
  std::size_t count = 0;
  while (count < ranks.decades.size() && ranks.largest * std::pow(10.0, -1 - static_cast<double>(count)) >= ranks.floor)
    ++count;
  return count;
}

/// Angles and overlaps between the leading subspaces of the jobs of one block.
struct overlap_of {
  std::string block, side;   // "attn", "writes"
  tensor<float, 2> mean;     // (curve, curve): mean squared cosine
  tensor<double, 3> angles;  // (curve, curve, angle), radians, ascending, NaN beyond the smaller subspace
  std::optional<block_summary> categories;
};

inline std::vector<overlap_of> overlaps_of(const comparison& compared, const std::vector<job>& jobs,
                                           const std::vector<std::string>& blocks) {
  std::vector<overlap_of> found;
  const std::size_t curves = compared.labels.size();
  for (std::size_t block = 0; block < blocks.size() && curves > 1; ++block) {
    for (const bool writes : {true, false}) {
      const auto rows = [&](std::size_t curve) {
        const job& of = jobs[compared.jobs[block][curve]];
        return (writes ? of.writes : of.reads).rows.view();
      };
      std::size_t most = 0;
      for (std::size_t i = 0; i < curves; ++i) most = std::max<std::size_t>(most, rows(i).rows());
      if (most == 0) continue;
      overlap_of each{blocks[block], writes ? "writes" : "reads", tensor<float, 2>{{curves, curves}},
                      tensor<double, 3>{{curves, curves, most}}, std::nullopt};
      std::fill_n(each.angles.data(), each.angles.size(), std::numeric_limits<double>::quiet_NaN());
      for (std::size_t i = 0; i < curves; ++i) {
        for (std::size_t j = 0; j <= i; ++j) {
          const std::vector<double> angles = principal_angles(rows(i), rows(j));
          double sum = 0;
          for (std::size_t a = 0; a < angles.size(); ++a) {
            each.angles(i, j, a) = each.angles(j, i, a) = angles[a];
            sum += std::cos(angles[a]) * std::cos(angles[a]);
          }
          each.mean(i, j) = each.mean(j, i) =
              static_cast<float>(angles.empty() ? 0 : sum / static_cast<double>(angles.size()));
        }
      }
      if (!compared.categories.empty()) {
        std::vector<std::size_t> texts(curves);
        std::iota(texts.begin(), texts.end(), std::size_t{0});
        each.categories = similarity_blocks(each.mean, {texts, compared.categories});
      }
      found.push_back(std::move(each));
    }
  }
  return found;
}

inline plot::spectrum_curve curve_of(const job& of, const rank_notions& ranks, std::string name, plot::rgb colour) {
  plot::spectrum_curve curve;
  curve.name = std::move(name);
  curve.colour = colour;
  curve.size = of.found.size;
  curve.largest = ranks.largest;
  curve.floor = ranks.floor;
  curve.bound = ranks.bound;
  if (!of.found.density) {
    curve.values = of.found.values;
    return curve;
  }
  for (std::size_t i = 0; i < 200; ++i) {
    const double place = static_cast<double>(i) / 199;
    const spectral_count count = of.found.density->above(ranks.largest * std::pow(ranks.floor / ranks.largest, place));
    curve.thresholds.push_back(count.threshold);
    curve.counts.push_back(count.count);
    curve.errors.push_back(count.error());
  }
  return curve;
}

inline plot::spectra_set set_of(const comparison& compared, const std::vector<job>& jobs,
                                const std::vector<rank_notions>& ranks, const std::vector<std::string>& blocks) {
  plot::spectra_set set;
  set.name = compared.name;
  set.title = compared.title;
  set.shares = compared.name == "lengths";
  for (std::size_t block = 0; block < blocks.size(); ++block) {
    set.blocks.push_back(title_of(blocks[block]));
    std::vector<plot::spectrum_curve>& curves = set.curves.emplace_back();
    for (std::size_t i = 0; i < compared.labels.size(); ++i) {
      const std::size_t at = compared.jobs[block][i];
      curves.push_back(curve_of(jobs[at], ranks[at], compared.labels[i], compared.colours[i]));
    }
  }
  return set;
}

inline std::string short_number(double value, int digits = 4) {
  if (!std::isfinite(value)) return "";
  if (std::abs(value) >= 1000 && std::abs(value) < 1e9) {  // no exponents where counts are meant
    const double unit = std::pow(10, std::floor(std::log10(std::abs(value))) + 1 - digits);
    return std::to_string(std::lround(unit > 1 ? std::round(value / unit) * unit : value));
  }
  std::ostringstream text;
  text.precision(digits);
  text << value;
  return text.str();
}

/// Standard deviation over the texts of effective rank / bound, relative to its mean; from 3 texts.
inline std::optional<double> spread_of(const comparison* texts, std::size_t block,
                                       const std::vector<rank_notions>& ranks) {
  if (texts == nullptr || texts->labels.size() < 3) return std::nullopt;
  std::vector<double> shares;
  for (const std::size_t at : texts->jobs[block])
    shares.push_back(ranks[at].effective_rank / static_cast<double>(std::max<std::size_t>(ranks[at].bound, 1)));
  const auto count = static_cast<double>(shares.size());
  const double mean = std::accumulate(shares.begin(), shares.end(), 0.0) / count;
  double squares = 0;
  for (const double share : shares) squares += (share - mean) * (share - mean);
  return std::sqrt(squares / (count - 1)) / mean;
}

/// The width over the layers. The narrowest one stands out if the next is wider by more than twice what texts differ by
/// and twice the error of sampling.
inline plot::width_panel width_of(const comparison& layers, const comparison* texts, std::size_t block,
                                  const std::string& name, const std::vector<job>& jobs,
                                  const std::vector<rank_notions>& ranks) {
  plot::width_panel panel;
  panel.block = title_of(name);
  panel.notions = {
      {"effective rank", {}}, {"99 % of the energy", {}}, {"participation ratio", {}}, {"stable rank", {}}};
  std::vector<rank_notions> along;
  double sampling = 0;
  for (const std::size_t at : layers.jobs[block]) {
    const rank_notions& found = ranks[at];
    along.push_back(found);
    const double bound = static_cast<double>(std::max<std::size_t>(found.bound, 1));
    panel.layers.push_back(static_cast<double>(jobs[at].layer));
    panel.notions[0].second.push_back(found.effective_rank / bound);
    panel.notions[1].second.push_back(static_cast<double>(found.energy_ranks[1]) / bound);
    panel.notions[2].second.push_back(found.participation_ratio / bound);
    panel.notions[3].second.push_back(found.stable_rank / bound);
    if (const auto& density = jobs[at].found.density) {
      const sampled_value rank = density->effective_rank();
      sampling = std::max(sampling, rank.error() / rank.value);
    }
  }
  const auto narrow = find_tight_pass(along);
  if (!narrow) {
    panel.verdict = "several layers are equally narrow.";
    return panel;
  }
  const auto percent = [](double share) { return short_number(100 * share, 2) + " %"; };
  panel.tight_pass = panel.layers[narrow->layer];
  panel.margin = narrow->margin;
  panel.inside = narrow->inside;
  panel.spread = spread_of(texts, block, ranks);
  panel.verdict = "layer " + short_number(*panel.tight_pass) + " is the narrowest, its effective rank " +
                  short_number(narrow->share, 3) + " of the bound, and the next one " + percent(narrow->margin) +
                  " wider.";
  if (sampling > 0) panel.verdict += " Sampling leaves ± " + percent(sampling) + ".";
  if (panel.spread) {
    panel.stands_out = narrow->margin > std::hypot(2 * *panel.spread, 2 * sampling);
    panel.verdict += " Texts differ by " + percent(*panel.spread) + " (standard deviation over " +
                     std::to_string(texts->labels.size()) + " texts at layer " +
                     std::to_string(jobs[texts->jobs[block][0]].layer) + "): it " +
                     (*panel.stands_out ? "stands out." : "does not stand out.");
  } else {
    panel.verdict += " Whether texts differ by more, --text all tells.";
  }
  if (!narrow->inside) panel.verdict += " It is at the end: the layers do not narrow and widen again.";
  return panel;
}

inline double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

inline std::vector<plot::spectra_table> tables_of(const std::vector<job>& jobs, const std::vector<rank_notions>& ranks,
                                                  std::size_t hidden) {
  plot::spectra_table table{
      "Ranks, in every notion",
      {"spectrum", "analyser", "values", "bound", "above φ/10", "above φ", "above 10 φ", "well determined",
       "φ / largest", "effective", "stable", "participation", "90 % energy", "99 %", "99.9 %"},
      {}},
      decades{"Values above a share of the largest", {"spectrum"}, {}},
      kinks{
          "Widest gaps and strongest bends above φ",
          {"spectrum", "gap behind", "decades", "the next widest", "chance", "bend at", "explained", "misfit, decades"},
          {}};
  for (int i = 1; i <= 8; ++i) decades.columns.push_back("1e-" + std::to_string(i));
  for (std::size_t j = 0; j < jobs.size(); ++j) {
    const rank_notions& r = ranks[j];
    const auto& density = jobs[j].found.density;
    const auto with_error = [](const sampled_value& v) {
      return short_number(v.value) + " ± " + short_number(v.error(), 2);
    };
    std::vector<std::string> row{jobs[j].name, jobs[j].found.method, std::to_string(r.size), std::to_string(r.bound)};
    for (const std::size_t count : r.counts) row.push_back(density ? "" : std::to_string(count));
    row.push_back(density ? "" : r.well_determined ? "yes" : "no");
    row.push_back(short_number(r.largest > 0 ? r.floor / r.largest : 0, 2));
    row.push_back(density ? with_error(density->effective_rank()) : short_number(r.effective_rank));
    row.push_back(density ? with_error(density->stable_rank()) : short_number(r.stable_rank));
    row.push_back(density ? with_error(density->participation_ratio()) : short_number(r.participation_ratio));
    for (const std::size_t count : r.energy_ranks) row.push_back(std::to_string(count));
    table.rows.push_back(std::move(row));
    if (!density) {
      const auto gap = widest_gap(jobs[j].found.values, r.floor);
      const auto bend = strongest_bend(jobs[j].found.values, r.floor);
      kinks.rows.push_back({jobs[j].name, gap ? std::to_string(gap->count) : "none from 0.3 decade on",
                            gap ? short_number(gap->decades, 2) : "", gap ? short_number(gap->runner_up, 2) : "",
                            gap ? short_number(gap->chance, 2) : "", bend ? std::to_string(bend->count) : "",
                            bend ? short_number(bend->explained, 2) : "", bend ? short_number(bend->misfit, 2) : ""});
    }
    std::vector<std::string>& counts = decades.rows.emplace_back(1, jobs[j].name);
    const std::size_t shown = density ? resolved_decades(r) : r.decades.size();
    for (std::size_t i = 0; i < r.decades.size(); ++i) {
      if (i >= shown) {
        counts.push_back("not resolved");
      } else if (density) {
        const spectral_count count = density->above(r.largest * std::pow(10.0, -1 - static_cast<double>(i)));
        counts.push_back(short_number(std::round(count.count), 7) + " ± " + short_number(count.error(), 2));
      } else {
        counts.push_back(std::to_string(r.decades[i]));
      }
    }
  }
  std::vector<plot::spectra_table> tables{std::move(table), std::move(decades)};
  if (!kinks.rows.empty()) tables.push_back(std::move(kinks));
  if (jobs.empty() || jobs[0].share_read.empty()) return tables;
  plot::spectra_table shares{
      "Activations in the leading subspace",
      {"spectrum", "directions", "share of the input in what it reads: BOS", "median of the others",
       "share of the output in what it writes: BOS", "median of the others", "by chance"},
      {}};
  for (const job& each : jobs) {
    std::vector<std::string>& row = shares.rows.emplace_back(1, each.name);
    row.push_back(std::to_string(each.reads.rows.rows()));
    for (const std::vector<double>* of : {&each.share_read, &each.share_written}) {
      row.push_back(short_number(of->front(), 3));
      row.push_back(of->size() > 1 ? short_number(median({of->begin() + 1, of->end()}), 3) : "");
    }
    row.push_back(short_number(static_cast<double>(each.reads.rows.rows()) / static_cast<double>(hidden), 2));
  }
  tables.push_back(std::move(shares));
  return tables;
}

/// What the curves can and cannot show, with this run's numbers.
inline std::vector<std::string> notes_of(const std::vector<job>& jobs, const architecture& shape) {
  std::vector<std::string> notes{
      "A spectrum is that of the Jacobian of one block at one text: how a small change of the layer's input (of all "
      "tokens at once, LayerNorm included, residual left out) changes what the block adds. It is the block to first "
      "order there; a small singular value does not say that other texts leave that direction unused, a large one does "
      "not say how often it occurs.",
      "An edge at a dashed line is no discovery. LayerNorm takes one direction from each token exactly (the mean) and "
      "nearly a second one (the token's own, with the gain eps / (var + eps)), so that attention over n tokens has at "
      "most n (" +
          std::to_string(shape.hidden) +
          " - 1) directions. A ReLU block has at most as many as it has active neurons, and at most hidden - 1, for "
          "each token: the dense block's edge counts active neurons.",
      "Tokens are counted with BOS. A text of \"2 tokens\" is 3 with it: of OPT-125M 3 x 768 = 2304 values, and an "
      "edge "
      "read off near 2200 is where attention ends at 2301. An edge of the dense block near 1240 is 3 tokens with about "
      "413 active neurons each, 13 % of 3072: ReLU, not a narrow pass.",
      "φ is the noise floor: ten times the largest of the values that must be zero, or the method's own floor where "
      "that is higher. A rank is a property of its threshold unless the counts above φ/10, φ and 10 φ agree (well "
      "determined). A sampled spectrum (lanczos_quadrature) is blind below its resolution limit, and each of its "
      "counts has an error: sampling (twice the standard error) plus resolution.",
      "A gap is the widest between neighbours, from 0.3 decade on; chance is the probability of one as wide in a "
      "spectrum without. A bend is where two lines fit best; any curved spectrum has one, and it is a kink only "
      "where the second line explains nearly all and the misfit is small.",
      "Width: the tight pass is the layer with the strictly smallest effective rank relative to the bound. It is "
      "called so only if it is neither the first nor the last and the next layer is wider by more than twice what "
      "texts differ by and twice the error of sampling.",
      "Directions: the leading right singular vectors are what a block reads, the left ones what it writes; of both, "
      "the leading directions of hidden space whatever the token. An overlap is the mean squared cosine of the "
      "principal angles between two such subspaces: 1 if they are the same, about (directions) / (hidden size) if they "
      "have nothing to do with each other. The share of an activation in such a subspace is that of its square: of the "
      "layer's input in what the block reads, of the block's output in what it writes."};
  std::string unsure, active;
  for (const job& each : jobs) {
    if (each.residual > 0) unsure += (unsure.empty() ? "" : "; ") + each.name + " " + short_number(each.residual, 2);
  }
  if (!unsure.empty()) {
    notes.push_back(
        "Leading directions that did not converge, with their worst residual relative to the largest value: " + unsure +
        ".");
  }
  for (const job& each : jobs) {
    if (each.active.empty()) continue;
    const auto [least, most] = std::minmax_element(each.active.begin(), each.active.end());
    const std::size_t sum = std::accumulate(each.active.begin(), each.active.end(), std::size_t{0});
    active += (active.empty() ? "" : "; ") + each.name + " " + std::to_string(*least) + " to " + std::to_string(*most) +
              ", " + std::to_string(sum) + " in all";
  }
  if (!active.empty()) {
    notes.push_back("Neurons whose derivative is not zero, of " + std::to_string(shape.ffn) +
                    ", by token (BOS among them): " + active + ".");
  }
  return notes;
}

inline void write_ranks(json_writer& json, const job& of, const rank_notions& r) {
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
  if (density) return;
  if (const auto gap = widest_gap(of.found.values, r.floor)) {
    json.key("gap").begin_object().field("count", gap->count).field("decades", gap->decades);
    json.field("runner_up", gap->runner_up).field("chance", gap->chance).end_object();
  }
  if (const auto bend = strongest_bend(of.found.values, r.floor)) {
    json.key("bend").begin_object().field("count", bend->count).field("explained", bend->explained);
    json.field("misfit_decades", bend->misfit).end_object();
  }
}

}  // namespace spectra
