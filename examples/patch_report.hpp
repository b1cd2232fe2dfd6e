// SPDX-License-Identifier: MIT
#pragma once
// The report and the summary of `patch`.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <optscope/core/json_writer.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/residual/patch_agreement.hpp>
#include <optscope/residual/patching.hpp>
#include <span>
#include <string>
#include <vector>

#include "support/shown.hpp"

namespace patching_report {

using namespace optscope;
using program::number;
using program::shown;

inline constexpr std::size_t random_pairs = 999;

/// What was done at one site.
struct swept_site {
  std::string name{};
  bool heads = false;  // places are heads, else positions
  patch_sweep patched{};
  tensor<double, 2> estimate{};  // of the shares
  patch_agreement agreement{};
};

struct results {
  std::string model{};
  std::vector<plot::report::fact> facts{};
  token_list ids{}, corrupted_ids{};
  std::vector<std::string> pieces{}, corrupted_pieces{};
  std::string answer{}, instead{};
  double clean = 0, corrupted = 0, usual = 0;  // differences of logits; of the difference of both for random pairs
  std::vector<swept_site> sites{};
};

/// A layer and a position or head.
struct cell {
  std::size_t layer, place;
};

/// Where a page begins: it has the last positions of a long prompt.
inline std::size_t first_shown(const results& all) {
  constexpr std::size_t most = 48;
  return all.pieces.size() > most ? all.pieces.size() - most : 0;
}

/// A token of the clean prompt, with that of the corrupted one where they differ.
inline std::string token_at(const results& all, std::size_t position) {
  const std::string clean = shown(all.pieces[position]);
  return all.ids[position] == all.corrupted_ids[position] ? clean
                                                          : clean + " for " + shown(all.corrupted_pieces[position]);
}

inline std::string name_of(const results& all, const swept_site& site, cell at) {
  return site.heads ? std::to_string(at.layer) + ".head." + std::to_string(at.place)
                    : "layer " + std::to_string(at.layer) + ", position " + std::to_string(at.place) + " (" +
                          token_at(all, at.place) + ")";
}

/// At most `most` cells by the absolute share, the largest first.
inline std::vector<cell> by_share(const swept_site& site, std::size_t most = static_cast<std::size_t>(-1)) {
  std::vector<cell> cells;
  for (std::size_t layer = 0; layer < site.patched.share.rows(); ++layer) {
    for (std::size_t place = 0; place < site.patched.share.extent(1); ++place) cells.push_back({layer, place});
  }
  std::ranges::stable_sort(cells, std::greater<>{},
                           [&](cell at) { return std::abs(site.patched.share(at.layer, at.place)); });
  cells.resize(std::min(most, cells.size()));
  return cells;
}

/// How the stream carries the answer: which position restores most, layer by layer.
inline std::string way_through(const results& all, const swept_site& site) {
  std::string text;
  std::size_t since = 0, place = 0;
  const auto say = [&](std::size_t until) {
    text += (text.empty() ? "" : ", ") + std::string{"at position "} + std::to_string(place) + " (" +
            token_at(all, place) + ") before layer" + (since + 1 == until ? " " : "s ") + std::to_string(since) +
            (since + 1 == until ? "" : " to " + std::to_string(until - 1));
  };
  for (std::size_t layer = 0; layer < site.patched.share.rows(); ++layer) {
    const auto row = site.patched.share.row(layer);
    const auto best = static_cast<std::size_t>(std::ranges::max_element(row) - row.begin());
    if (layer == 0) place = best;
    if (best == place) continue;
    say(layer);
    since = layer;
    place = best;
  }
  say(site.patched.share.rows());
  return "The stream restores most " + text + ".";
}

inline std::string what_of(const swept_site& site) {
  if (site.name == "resid_pre") return "the stream before a layer, at one position";
  if (site.name == "attn_out") return "what a layer's attention adds, at one position";
  if (site.name == "mlp_out") return "what a layer's MLP adds, at one position";
  return "a head's z, at all positions";
}

inline std::string agreement_text(const swept_site& site) {
  const patch_agreement& found = site.agreement;
  if (!found.correlation)
    return "The first-order estimate of " + site.name + " cannot be compared: all shares are equal.";
  std::string text = "The first-order estimate of " + site.name + " correlates with the patches at " +
                     number(*found.correlation) + " (n = " + std::to_string(found.places) + " places" +
                     (site.heads ? "" : " of " + std::to_string(found.units) + " positions");
  text += found.interval ? "; 95 % interval " + number((*found.interval)[0]) + " to " + number((*found.interval)[1])
                         : "; too few for an interval";
  return text + "). In random order 95 of 100 reach less than " + number(found.chance) + "; p " + number(found.p) +
         ". The largest error of a share is " + number(found.error) + ".";
}

/// The findings, a sentence each.
inline std::vector<std::string> findings(const results& all) {
  const std::string pair = "logit(" + shown(all.answer) + ") - logit(" + shown(all.instead) + ")";
  std::vector<std::string> text{pair + " is " + number(all.clean) + " after the prompt and " + number(all.corrupted) +
                                " after the corrupted one: what is restored is a share of " +
                                number(all.clean - all.corrupted) + ". For " + std::to_string(random_pairs) +
                                " random pairs of tokens the prompts usually differ by " + number(all.usual) + "."};
  for (const swept_site& site : all.sites) {
    std::string largest;
    std::size_t standing = 0, shares = 0;
    const std::vector<cell> cells = by_share(site);
    for (const cell at : cells) standing += site.patched.p(at.layer, at.place) <= 0.05 ? 1 : 0;
    for (const cell at : cells) {
      if (shares == 3 || site.patched.p(at.layer, at.place) > 0.05) continue;
      largest += (largest.empty() ? "" : "; ") + name_of(all, site, at) + ": " +
                 number(site.patched.share(at.layer, at.place)) + " (usual for random pairs " +
                 number(site.patched.usual(at.layer, at.place)) + ", p " + number(site.patched.p(at.layer, at.place)) +
                 ")";
      ++shares;
    }
    const std::string count = std::to_string(cells.size());
    if (standing == 0) {
      const cell at = cells.front();
      text.push_back(site.name + ": none of " + count +
                     " places changes this answer more than random pairs of tokens. The largest share is " +
                     number(site.patched.share(at.layer, at.place)) + ", of " + name_of(all, site, at) + ".");
    } else {
      text.push_back(site.name + ": " + std::to_string(standing) + " of " + count +
                     " places change this answer more than random pairs of tokens. The largest shares: " + largest +
                     ".");
    }
    if (site.name == "resid_pre") text.push_back(way_through(all, site));
    text.push_back(agreement_text(site));
  }
  return text;
}

/// What a reader must know to trust the shares.
inline std::vector<std::string> limits(const results& all) {
  std::vector<std::string> text;
  if (all.clean <= 0) {
    text.push_back("The model does not prefer " + shown(all.answer) +
                   " after the clean prompt either, only less strongly " + shown(all.instead) +
                   ": the shares are of that.");
  }
  if (all.clean - all.corrupted < all.usual) {
    text.push_back(
        "The prompts differ in this answer by less than they usually do in random tokens: shares are of a small "
        "difference.");
  }
  if (const std::size_t first = first_shown(all); first > 0) {
    text.push_back("The page shows the last " + std::to_string(all.pieces.size() - first) + " of " +
                   std::to_string(all.pieces.size()) + " positions; data/ has all.");
  }
  return text;
}

inline void add_site(plot::report& page, const results& all, const swept_site& site) {
  const std::size_t first = site.heads ? 0 : first_shown(all), layers = site.patched.share.rows(),
                    width = site.patched.share.extent(1) - first;
  tensor<float, 3> panels{{2, layers, width}};
  plot::heatmap_options options{.title = site.name, .value_label = "share restored", .diverging = true};
  options.panel_titles = {"patched", "first-order estimate"};
  options.marks.resize(1);
  double largest = 0;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    options.row_labels.push_back("layer " + std::to_string(layer));
    for (std::size_t i = 0; i < width; ++i) {
      panels(0, layer, i) = static_cast<float>(site.patched.share(layer, first + i));
      panels(1, layer, i) = static_cast<float>(site.estimate(layer, first + i));
      largest = std::max(largest, std::abs(site.patched.share(layer, first + i)));
      if (site.patched.p(layer, first + i) <= 0.05) options.marks[0].push_back({layer, i});
    }
  }
  for (std::size_t i = 0; i < width; ++i) {
    options.column_labels.push_back(site.heads ? "head " + std::to_string(i) : token_at(all, first + i));
  }
  if (largest > 0) options.range = plot::value_range{-largest, largest};
  page.picture("Patches of " + site.name,
               "The share restored by " + what_of(site) +
                   ", by layer: red towards the answer, blue away from it. Dots mark places that change this answer "
                   "more than random pairs of tokens (p up to 0.05). " +
                   agreement_text(site),
               site.name, plot::heatmap(panels, options));
  std::vector<std::vector<std::string>> rows;
  for (const cell at : by_share(site, 10)) {
    rows.push_back({name_of(all, site, at), number(site.patched.share(at.layer, at.place)),
                    number(site.estimate(at.layer, at.place)), number(site.patched.usual(at.layer, at.place)),
                    number(site.patched.p(at.layer, at.place))});
  }
  page.table("The largest shares of " + site.name,
             {"place", "share restored", "first-order estimate", "usual for random pairs", "p"}, rows);
}

inline plot::report make_report(const results& all) {
  plot::report page{"What restores the answer", all.model};
  page.facts("Model and run", all.facts);
  page.notes("Findings", findings(all));
  if (const auto text = limits(all); !text.empty()) page.notes("Limits", text);
  for (const swept_site& site : all.sites) add_site(page, all, site);
  page.notes("How to read this page",
             {"The model runs over the corrupted prompt, but one part of the run is replaced by what the clean prompt "
              "has there (activation patching). With d the difference of the two logits after the last token, the "
              "share restored is (d patched - d corrupted) / (d clean - d corrupted): 0 is nothing, 1 is the clean "
              "prompt's answer. Shares do not add up: two parts may each restore the answer, or only together.",
              "Before the first token that differs both runs are equal, and the share is exactly 0. Where only one "
              "token differs, the stream before layer 0 restores everything there: that says nothing about the model.",
              "A patch changes the logits of other tokens too. p compares: each share is divided by the usual size "
              "(root mean square) of what the same patch does to " +
                  std::to_string(random_pairs) +
                  " random pairs of tokens, and p is how often the largest of all places is as large for a random "
                  "pair. By chance, one sweep in 20 has a place with p up to 0.05.",
              "The first-order estimate (attribution patching: Nanda 2023; Syed et al. 2023) is the gradient of d in "
              "the corrupted run times the change, for all places by one backward pass. Its correlation with the "
              "patches has an interval from resampled positions (heads), and chance is what estimates with positions "
              "(heads) in random order give."});
  return page;
}

inline std::string summary_of(const results& all, const std::string& run) {
  json_writer json;
  json.begin_object().field("model", all.model).list("prompt", all.pieces).list("corrupted", all.corrupted_pieces);
  json.list("ids", all.ids)
      .list("corrupted_ids", all.corrupted_ids)
      .field("answer", all.answer)
      .field("instead", all.instead);
  json.list("findings", findings(all)).key("difference").begin_object();
  json.field("clean", all.clean)
      .field("corrupted", all.corrupted)
      .field("usual_for_random_pairs", all.usual)
      .end_object();
  json.key("sites").begin_object();
  for (const swept_site& site : all.sites) {
    json.key(site.name).begin_object().field("places", site.heads ? "heads" : "positions").key("largest").begin_array();
    for (const cell at : by_share(site, 10)) {
      json.begin_object().field("layer", at.layer).field(site.heads ? "head" : "position", at.place);
      json.field("share", site.patched.share(at.layer, at.place)).field("estimate", site.estimate(at.layer, at.place));
      json.field("usual_for_random_pairs", site.patched.usual(at.layer, at.place));
      json.field("p", site.patched.p(at.layer, at.place)).end_object();
    }
    json.end_array().key("estimate").begin_object();
    const patch_agreement& found = site.agreement;
    json.field("places", found.places).field("units", found.units);
    if (found.correlation) json.field("correlation", *found.correlation);
    if (found.interval) json.list("interval", *found.interval);
    json.field("chance", found.chance).field("p", found.p).field("largest_error", found.error).end_object();
    json.end_object();
  }
  json.end_object().list("limits", limits(all)).key("run").raw(run).end_object();
  return json.text() + "\n";
}

}  // namespace patching_report
