// SPDX-License-Identifier: MIT
#pragma once
// The report and the summary of `lens`.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <optscope/core/json_writer.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/palette.hpp>
#include <optscope/plot/report.hpp>
#include <optscope/residual/attribute_logits.hpp>
#include <optscope/residual/likeliest.hpp>
#include <span>
#include <string>
#include <vector>

#include "support/shown.hpp"

namespace lens {

using namespace optscope;
using program::number;
using program::shown;

/// A token of the question: `--answer` or `--instead`.
struct asked_token {
  token_id id = 0;
  std::string piece{};
  std::vector<token_belief> by_depth{};  // at the last position
};

/// The attention of one head at the positions that are shown.
struct head_pattern {
  stream_component head{};
  tensor<float, 2> weights{};  // (position, key)
};

/// What `lens` computed, and what it says of the run.
struct results {
  std::string model{};
  std::vector<plot::report::fact> facts{};
  std::vector<std::string> pieces{};  // of the prompt
  token_list ids{};
  std::size_t vocabulary = 0;
  bool every_head = false;  // `patterns` has all heads, else those with the largest shares
  std::vector<std::vector<std::vector<token_belief>>> beliefs{};  // [depth][position]: the likeliest
  std::vector<std::vector<std::string>> believed{};               // [depth][position]: the piece of the first
  std::vector<asked_token> asked{};                               // the answer, then what is instead of it
  logit_attribution shares{};                                     // of the one pair, at every position
  std::vector<double> usual{};        // [component]: root mean square of what random tokens get at the last position
  std::vector<double> probability{};  // [component]: p of the share there, over all components together
  std::vector<head_pattern> patterns{};
  std::vector<std::string> limits{};
};

/// Where what is shown begins: a page has the last positions of a long prompt.
inline std::size_t first_shown(const results& all) {
  constexpr std::size_t most = 48;
  return all.pieces.size() > most ? all.pieces.size() - most : 0;
}

inline std::vector<std::string> shown_pieces(const results& all) {
  std::vector<std::string> pieces;
  for (std::size_t at = first_shown(all); at < all.pieces.size(); ++at) pieces.push_back(shown(all.pieces[at]));
  return pieces;
}

inline std::string depth_name(std::size_t depth) {
  return depth == 0 ? "embedding" : "layer " + std::to_string(depth - 1);
}

inline double share_at_end(const results& all, std::size_t component) {
  return all.shares.shares(0, component, all.pieces.size() - 1);
}

/// Components by their share at the last position, what speaks for the answer first.
inline std::vector<std::size_t> by_share(const results& all) {
  std::vector<std::size_t> order(all.shares.components.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, std::greater<>{}, [&](std::size_t c) { return share_at_end(all, c); });
  return order;
}

/// The `count` components with the largest shares at the last position, for the answer or against it, in that order.
inline std::vector<std::size_t> largest_shares(const results& all, std::size_t count) {
  std::vector<std::size_t> order = by_share(all);
  std::ranges::stable_sort(order, std::greater<>{}, [&](std::size_t c) { return std::abs(share_at_end(all, c)); });
  order.resize(std::min(count, order.size()));
  return order;
}

/// What is attributed, in words.
inline std::string question(const results& all) {
  std::string text = "logit(" + shown(all.asked[0].piece) + ")";
  if (all.asked.size() > 1) text += " - logit(" + shown(all.asked[1].piece) + ")";
  return text;
}

/// The findings, a sentence each.
inline std::vector<std::string> findings(const results& all) {
  const auto& last = all.beliefs.back().back();
  const std::string& said = all.believed.back().back();
  std::size_t since = all.beliefs.size();  // the depth from which on the model says what it says in the end
  while (since > 0 && !all.beliefs[since - 1].back().empty() &&
         all.beliefs[since - 1].back()[0].token == last[0].token) {
    --since;
  }
  std::vector<std::string> text{"After the prompt the model says " + shown(said) + " with probability " +
                                number(last[0].probability) + "; the lens says so from " + depth_name(since) + " on."};
  if (all.asked.empty()) return text;
  for (const asked_token& token : all.asked) {
    const token_belief& end = token.by_depth.back();
    text.push_back(shown(token.piece) + " has probability " + number(end.probability) +
                   " there (chance: " + number(1 / static_cast<double>(all.vocabulary)) + "), " +
                   std::to_string(end.place) + " of " + std::to_string(all.vocabulary) + " tokens are likelier.");
  }
  std::string largest, standing;
  for (const std::size_t c : largest_shares(all, 3)) {
    largest +=
        (largest.empty() ? "" : ", ") + name_of(all.shares.components[c]) + " (" + number(share_at_end(all, c)) + ")";
  }
  text.push_back(question(all) + " is " + number(all.shares.difference(0, all.pieces.size() - 1)) +
                 " at the last position. The largest shares are those of " + largest + ".");
  for (const std::size_t c : largest_shares(all, all.probability.size())) {
    if (all.probability[c] > 0.05) continue;
    standing += (standing.empty() ? "" : ", ") + name_of(all.shares.components[c]) + " (" +
                number(share_at_end(all, c)) + ", p " + number(all.probability[c]) + ")";
  }
  const std::string count = std::to_string(all.probability.size()) + " components";
  text.push_back(
      standing.empty()
          ? "No component stands out: relative to what random tokens get from each, the largest share of the " + count +
                " is no larger than that of random tokens (lowest p " +
                number(*std::ranges::min_element(all.probability)) + ")."
          : "Of the " + count + ", these give the answer more than they give random tokens: " + standing + ".");
  return text;
}

inline void add_beliefs(plot::report& page, const results& all) {
  const std::size_t first = first_shown(all);
  std::vector<std::string> columns = shown_pieces(all);
  columns.insert(columns.begin(), "after");
  std::vector<std::vector<std::string>> rows;
  for (std::size_t depth = all.beliefs.size(); depth-- > 0;) {
    std::vector<std::string>& row = rows.emplace_back(std::vector{depth_name(depth)});
    for (std::size_t at = first; at < all.pieces.size(); ++at) {
      row.push_back(shown(all.believed[depth][at]) + " " + number(all.beliefs[depth][at][0].probability));
    }
  }
  page.table("The likeliest next token after each layer, and its probability", columns, rows);
}

inline void add_asked(plot::report& page, const results& all) {
  plot::line_panel panel;
  for (std::size_t i = 0; i < all.asked.size(); ++i) {
    plot::line_series line{.name = shown(all.asked[i].piece), .colour = plot::hue(i)};
    for (std::size_t depth = 0; depth < all.asked[i].by_depth.size(); ++depth) {
      line.x.push_back(static_cast<double>(depth));
      line.y.push_back(all.asked[i].by_depth[depth].probability);
    }
    panel.series.push_back(line);
  }
  plot::line_series chance{.name = "chance", .colour = {120, 120, 120}, .dashed = true};
  chance.x = panel.series[0].x;
  chance.y.assign(chance.x.size(), 1 / static_cast<double>(all.vocabulary));
  panel.series.push_back(chance);
  page.chart("Probability by depth",
             "At the last position. Depth 0 is the embedding, depth d the stream after layer d - 1.", {&panel, 1},
             {.x_label = "depth", .y_label = "probability", .log_y = true});
}

inline void add_shares(plot::report& page, const results& all) {
  constexpr std::size_t half = 16;  // rows of the picture for the answer, and against it
  std::vector<std::size_t> order = by_share(all);
  if (order.size() > 2 * half) order.erase(order.begin() + half, order.end() - half);
  const std::size_t first = first_shown(all), width = all.pieces.size() - first;
  tensor<float, 2> values{{order.size(), width}};
  plot::heatmap_options options{.title = question(all), .value_label = "share", .diverging = true};
  for (std::size_t row = 0; row < order.size(); ++row) {
    options.row_labels.push_back(name_of(all.shares.components[order[row]]));
    for (std::size_t at = 0; at < width; ++at) {
      values(row, at) = static_cast<float>(all.shares.shares(0, order[row], first + at));
    }
  }
  options.column_labels = shown_pieces(all);
  if (width > 1) {  // the first position, BOS, is unlike all others
    double largest = 0;
    for (std::size_t row = 0; row < order.size(); ++row) {
      for (const float value : values.row(row).subspan(1)) largest = std::max(largest, std::abs(double{value}));
    }
    options.range = plot::value_range{-largest, largest};
  }
  page.picture(
      "Which components say so",
      "What each component adds directly to " + question(all) +
          " at each position: red for the answer, blue against it. Sorted by the share at the last position, of which "
          "the " +
          std::to_string(half) +
          " largest and smallest are shown; data/attribution.npy has all. Colours leave out the first position.",
      "attribution", plot::heatmap(values, options));

  std::vector<std::vector<std::string>> rows;
  for (const std::size_t c : largest_shares(all, 20)) {
    rows.push_back({name_of(all.shares.components[c]), number(share_at_end(all, c)), number(all.usual[c]),
                    number(all.probability[c])});
  }
  page.table("The largest shares at the last position", {"component", "share", "usual size for random tokens", "p"},
             rows);
}

/// The attention of some heads side by side.
inline plot::picture attention_of(const results& all, std::span<const head_pattern> patterns, std::size_t columns) {
  const std::size_t first = first_shown(all), side = all.pieces.size() - first;
  tensor<float, 3> panels{{patterns.size(), side, side}};
  plot::heatmap_options options{.title = "Attention", .value_label = "weight", .range = plot::value_range{0, 1}};
  options.columns = columns;
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    options.panel_titles.push_back(name_of(patterns[i].head));
    for (std::size_t at = 0; at < side; ++at) {
      std::ranges::copy(patterns[i].weights.row(at).subspan(first, side), &panels(i, at, 0));
    }
  }
  options.row_labels = shown_pieces(all);
  options.column_labels = options.row_labels;
  return plot::heatmap(panels, options);
}

inline void add_patterns(plot::report& page, const results& all) {
  const std::string note = "Each row is a position, and how much of its attention goes to each token up to it.";
  if (!all.every_head) {
    page.picture("Where these heads look", "The heads with the largest shares at the last position. " + note,
                 "attention", attention_of(all, all.patterns, 2));
    return;
  }
  for (std::span<const head_pattern> left{all.patterns}; !left.empty();) {
    const std::size_t layer = left.front().head.layer;
    const auto next = std::ranges::find_if(left, [&](const head_pattern& each) { return each.head.layer != layer; });
    const auto count = static_cast<std::size_t>(next - left.begin());
    const std::string number_of_layer = std::to_string(layer);
    page.picture("Where the heads of layer " + number_of_layer + " look", note, "attention-" + number_of_layer,
                 attention_of(all, left.first(count), 0));
    left = left.subspan(count);
  }
}

inline plot::report make_report(const results& all) {
  plot::report page{"What the model believes after each layer", all.model};
  page.facts("Model and run", all.facts);
  page.notes("Findings", findings(all));
  if (!all.limits.empty()) page.notes("Limits", all.limits);
  add_beliefs(page, all);
  if (!all.asked.empty()) {
    add_asked(page, all);
    add_shares(page, all);
  }
  if (!all.patterns.empty()) add_patterns(page, all);
  page.notes("How to read this page",
             {"The lens takes the stream after a layer as if it were the last one: through the final LayerNorm, with "
              "the stream's own mean and variance, and the unembedding (nostalgebraist 2020). Early layers may hold "
              "what it cannot read: a token that it does not show may still be known there.",
              "A share is what a component adds directly to the difference of logits, with the final LayerNorm's mean "
              "and scale as in this run; all shares of a position add up to the difference. What a component does by "
              "way of later ones is not in it.",
              "A component that adds much may do so for any token. p compares: each share is divided by the usual size "
              "(root mean square) of what 999 random tokens, or pairs of them, get from the same component at the last "
              "position; p is how often the largest of all components is as large for random tokens. By chance, one "
              "page in 20 has a component with p below 0.05."});
  return page;
}

inline void write_beliefs(json_writer& json, const results& all, const std::function<std::string(token_id)>& piece_of) {
  json.key("depths").begin_array();
  for (std::size_t depth = 0; depth < all.beliefs.size(); ++depth) {
    json.begin_object().field("after", depth_name(depth)).key("positions").begin_array();
    for (const auto& tokens : all.beliefs[depth]) {
      json.begin_array();
      for (const token_belief& each : tokens) {
        json.begin_object().field("token", piece_of(each.token)).field("id", each.token);
        json.field("probability", each.probability).end_object();
      }
      json.end_array();
    }
    json.end_array().end_object();
  }
  json.end_array();
}

inline std::string summary_of(const results& all, const std::string& run,
                              const std::function<std::string(token_id)>& piece_of) {
  json_writer json;
  json.begin_object().field("model", all.model).list("prompt", all.pieces).list("ids", all.ids);
  json.list("findings", findings(all));
  for (std::size_t i = 0; i < all.asked.size(); ++i) {
    json.key(i == 0 ? "answer" : "instead").begin_object();
    json.field("token", all.asked[i].piece).field("id", all.asked[i].id).key("by_depth").begin_array();
    for (const token_belief& each : all.asked[i].by_depth) {
      json.begin_object().field("probability", each.probability).field("likelier_tokens", each.place).end_object();
    }
    json.end_array().end_object();
  }
  if (!all.asked.empty()) {
    json.key("components").begin_array();
    for (const stream_component& each : all.shares.components) json.value(name_of(each));
    json.end_array();
    json.list("difference", std::span{all.shares.difference.data(), all.shares.difference.size()});
    json.list("usual_size_for_random_tokens", all.usual).list("p", all.probability);
    json.field("error_of_the_sum", all.shares.error());
  }
  write_beliefs(json, all, piece_of);
  json.list("limits", all.limits).key("run").raw(run).end_object();
  return json.text() + "\n";
}

}  // namespace lens
