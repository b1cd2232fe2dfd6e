// SPDX-License-Identifier: MIT
#pragma once
// The report and the pictures of `isolate`.
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <optional>
#include <optscope/core/threads.hpp>
#include <optscope/isolation/isolation_result.hpp>
#include <optscope/isolation/wilson.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/intervals.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/report.hpp>
#include <string>
#include <utility>
#include <vector>

namespace isolate_report {

using namespace optscope;
namespace fs = std::filesystem;
using cells = std::vector<std::vector<std::string>>;

inline constexpr double missing = std::numeric_limits<double>::quiet_NaN();

inline std::string rounded(double value, int digits = 3) {
  char buffer[40];
  return std::isfinite(value) && std::snprintf(buffer, sizeof buffer, "%.*f", digits, value) > 0 ? buffer : "–";
}
inline std::string percent(double share) { return rounded(100 * share, 0) + " %"; }
/// With Wilson's interval.
inline std::string percent_of(const counted& what) {
  const interval range = wilson(what.hits, what.all);
  return percent(what.share()) + " (" + rounded(100 * range.low, 0) + "–" + rounded(100 * range.high, 0) + ")";
}
/// With its interval over texts.
inline std::string change_of(const behaviour& before, const behaviour& after, std::size_t category) {
  const loss_change of = change_of_loss(before, after, category);
  return rounded(of.mean) + (std::isfinite(of.low) ? " (" + rounded(of.low) + " to " + rounded(of.high) + ")" : "");
}
inline counted judged_as(const behaviour& what, std::size_t prompts_of, std::size_t category) {
  return {.hits = what.judged[prompts_of][category], .all = what.prompts(prompts_of)};
}

/// The share of other prompts that are turned, at each share of the units removed.
inline plot::line_series turned_series(const char* name, const removal_curve& curve, const isolation_result& result,
                                       std::size_t colour) {
  plot::line_series series{.name = name, .colour = plot::hue(colour)};
  const auto add = [&](double share, const behaviour& found) {
    const counted turned = found.turned(result.kept);
    const interval range = wilson(turned.hits, turned.all);
    series.x.push_back(share);
    series.y.push_back(turned.share());
    series.low.push_back(range.low);
    series.high.push_back(range.high);
  };
  add(0, result.whole_on_curves);
  for (std::size_t i = 0; i < curve.share.size(); ++i) add(curve.share[i], curve.behaviours[i]);
  return series;
}

/// Share turned and loss over the share removed.
inline std::vector<plot::line_panel> curve_panels(const isolation_result& result) {
  const isolated_category& found = result.found();
  plot::line_panel turned{.title = "continued as " + result.kept_name() + ", of the other prompts",
                          .y_range = plot::value_range{.low = 0, .high = 1}};
  turned.series = {turned_series("by score", found.by_score, result, 0),
                   turned_series("random", found.random, result, 1),
                   turned_series("reversed", found.reversed, result, 2)};
  plot::line_panel loss{.title = "loss above the whole model's, removed by score"};
  for (std::size_t c = 0; c < result.categories.size(); ++c) {
    plot::line_series series{.name = result.categories[c], .x = {0}, .y = {0}, .colour = plot::hue(3 + c)};
    for (std::size_t i = 0; i < found.by_score.share.size(); ++i) {
      series.x.push_back(found.by_score.share[i]);
      series.y.push_back(found.by_score.behaviours[i].loss[c] - result.whole_on_curves.loss[c]);
    }
    loss.series.push_back(std::move(series));
  }
  return {turned, loss};
}

inline plot::picture picture_of_controls(const isolation_result& result) {
  const std::string& name = result.kept_name();
  std::vector<std::string> names;
  plot::interval_panel share{.title = "other prompts continued as " + name,
                             .x_range = plot::value_range{.low = 0, .high = 1}};
  plot::interval_panel cost{.title = "loss of " + name + " above the whole model's", .colour = plot::hue(1)};
  for (const control_result& row : result.controls) {
    names.push_back(label_of(row, result.terms));
    const counted turned = row.found.turned(result.kept);
    const interval range = wilson(turned.hits, turned.all);
    share.values.push_back(turned.share());
    share.low.push_back(range.low);
    share.high.push_back(range.high);
    cost.values.push_back(
        row.found.loss.empty() ? missing : row.found.loss[result.kept] - result.controls[0].found.loss[result.kept]);
  }
  return plot::intervals(names, std::vector<plot::interval_panel>{share, cost}, "Where it sits: keeping " + name);
}

/// Every category kept in turn.
inline plot::picture picture_of_matrix(const isolation_result& result) {
  tensor<float, 2> matrix{{result.of.size(), result.of.size()}};
  for (std::size_t kept = 0; kept < result.of.size(); ++kept) {
    for (std::size_t c = 0; c < result.of.size(); ++c) {
      matrix(kept, c) = static_cast<float>(judged_as(result.of[kept].final, c, kept).share());
    }
  }
  plot::heatmap_options options;
  options.title = "Kept (down), prompt (across)";
  options.value_label = "continued as the kept category";
  for (const std::string& name : result.categories) options.groups.push_back({.name = name, .size = 1});
  options.range = plot::value_range{.low = 0, .high = 1};
  return plot::heatmap(matrix.view(), options);
}

/// Whether all categories were kept in turn.
inline bool all_kept(const isolation_result& result) {
  for (const isolated_category& each : result.of) {
    if (!each.measured()) return false;
  }
  return true;
}

inline counted loops_of(const behaviour& what, std::size_t category) {
  return {.hits = what.loops[category], .all = what.prompts(category)};
}

inline std::string overlap_of(const std::optional<double>& measured) {
  return measured ? rounded(*measured, 2) : "not measured";
}

inline void write_facts(plot::report& page, const isolation_result& result, const isolation_record& record,
                        std::size_t rounds, bool checkpoint) {
  const std::size_t kept = result.kept;
  const std::string& name = result.kept_name();
  const isolated_category& found = result.found();
  page.facts(
      "What was found",
      std::vector<std::pair<std::string, std::string>>{
          {"removed", std::to_string(found.removed) + " of " + std::to_string(result.units_in_all) +
                          (record.units == "both" ? " neurons and heads" : " " + record.units)},
          {"other prompts continued as " + name, percent_of(found.final.turned(kept))},
          {"before", percent_of(result.whole.turned(kept))},
          {"prompts of " + name + " that the whole model continues as such", percent_of(result.whole.own(kept))},
          {"continuations of other prompts in which a C tokenizer and bracket matcher find no error",
           percent_of(result.whole.passing_of_others(kept)) + " → " + percent_of(found.final.passing_of_others(kept))},
          {"loops among them, which count as no " + name,
           percent_of(result.whole.loops_of_others(kept)) + " → " + percent_of(found.final.loops_of_others(kept)) +
               "; the whole model's own " + name + ": " + percent_of(loops_of(result.whole, kept))},
          {"loss of " + name + ", nats per token",
           rounded(result.whole.loss[kept]) + " → " + rounded(found.final.loss[kept])},
          {"its change, with a 95 % interval over " +
               std::to_string(change_of_loss(result.whole, found.final, kept).texts) + " held-out texts",
           change_of(result.whole, found.final, kept)},
          {"overlap of the sets from two halves of the scoring texts", overlap_of(result.overlaps.of_halves)},
          {"overlap of the sets from two seeds", overlap_of(result.overlaps.of_seeds)},
          {"score", record.by + (rounds > 1 ? ", in " + std::to_string(rounds) + " rounds" : "")},
          {"replaced by", record.replace},
          {"the smaller checkpoint, model/",
           record.units == "directions" ? "none: directions of the stream are in no weight"
           : !checkpoint                ? "not asked for (--checkpoint)"
           : record.even_layers         ? "read by this library and by transformers"
                                        : "read by this library alone: layers have different sizes (see --even)"}});
}

inline void write_matrix(plot::report& page, const isolation_result& result) {
  std::vector<std::string> columns{"kept", "removed", "its loss", "change (95 % over texts)"};
  for (const std::string& name : result.categories) columns.push_back("prompts: " + name);
  cells rows;
  for (std::size_t kept = 0; kept < result.of.size(); ++kept) {
    const isolated_category& each = result.of[kept];
    if (!each.measured()) continue;
    rows.push_back({result.categories[kept],
                    percent(static_cast<double>(each.removed) / static_cast<double>(result.units_in_all)),
                    rounded(result.whole.loss[kept]) + " → " + rounded(each.final.loss[kept]),
                    change_of(result.whole, each.final, kept)});
    for (std::size_t c = 0; c < result.categories.size(); ++c) {
      rows.back().push_back(percent_of(judged_as(each.final, c, kept)));
    }
  }
  page.table("Continued as the kept category, every category in turn", columns, rows);
}

inline void write_controls(plot::report& page, const isolation_result& result) {
  const std::vector<std::string>& names = result.categories;
  std::vector<std::string> columns{"what is removed", "units"};
  for (const std::string& name : names) columns.push_back("loss of " + name + " above the whole model's");
  for (std::size_t c = 0; c < names.size(); ++c) {
    if (c != result.kept) columns.push_back(names[c] + " continued as " + result.kept_name());
  }
  cells rows;
  for (const control_result& row : result.controls) {
    rows.push_back({label_of(row, result.terms), std::to_string(row.removed)});
    for (std::size_t c = 0; c < names.size(); ++c) {
      rows.back().push_back(row.found.loss.empty() ? "–"
                                                   : rounded(row.found.loss[c] - result.controls[0].found.loss[c]));
    }
    for (std::size_t c = 0; c < names.size(); ++c) {
      if (c == result.kept) continue;
      const counted turned = judged_as(row.found, c, result.kept);
      rows.back().push_back(turned.all == 0 ? "–" : percent_of(turned));
    }
  }
  page.table("Where it sits, in numbers", columns, rows);
}

inline void write_layers(plot::report& page, const isolation_result& result, bool directions) {
  plot::line_panel panel;
  if (!directions) panel.y_range = plot::value_range{.low = 0, .high = 1};
  for (const unit_kind kind : result.kinds) {
    std::vector<double> removed(result.layers);
    for (const std::size_t number : result.found().numbers) {
      const unit what = result.units[number];
      if (what.kind == kind) removed[what.layer] += 1;
    }
    plot::line_series series{.name = std::string{name_of(kind)} + "s", .colour = plot::hue(panel.series.size())};
    for (std::size_t layer = 0; layer < result.layers; ++layer) {
      series.x.push_back(static_cast<double>(layer));
      series.y.push_back(removed[layer] / static_cast<double>(result.units.count(kind)));
    }
    panel.series.push_back(std::move(series));
  }
  page.chart("The removed parts by layer", "", std::vector<plot::line_panel>{panel}, {.y_label = "share removed"});
}

inline void write_continuations(plot::report& page, const isolation_result& result) {
  constexpr std::size_t most = 4;  // of a category
  const std::vector<std::string>& names = result.categories;
  std::vector<std::size_t> shown(names.size());
  cells rows;
  for (const continued_prompt& each : result.continuations) {
    if (shown[each.category] == most) continue;
    ++shown[each.category];
    rows.push_back({names[each.category], each.prompt, each.before, each.after, result.class_name(each.after_is)});
  }
  page.table("Continuations side by side",
             std::vector<std::string>{"prompt of", "prompt", "whole model", "after the removal", "judged"}, rows);
}

inline void write_swapped(plot::report& page, const isolation_result& result) {
  if (!result.swapped) return;
  const std::size_t kept = result.kept;
  const auto row = [&](const char* name, const behaviour& whole, const behaviour& final) {
    return std::vector<std::string>{name, percent_of(final.turned(kept)), change_of(whole, final, kept),
                                    percent_of(final.loops_of_others(kept)), percent_of(final.passing_of_others(kept))};
  };
  const swapped_halves& other = *result.swapped;
  const behaviour& found = result.found().final;
  const auto points = [](const counted& a, const counted& b) {
    return rounded(100 * (b.share() - a.share()), 0) + " points";
  };
  page.table("The halves of the texts swapped, as much removed",
             std::vector<std::string>{"", "other prompts continued as " + result.kept_name(), "change of its loss",
                                      "loops", "C without error"},
             cells{row("as above", result.whole, found),
                   row("swapped", other.whole, other.final),
                   {"difference", points(found.turned(kept), other.final.turned(kept)),
                    rounded(change_of_loss(other.whole, other.final, kept).mean -
                            change_of_loss(result.whole, found, kept).mean),
                    points(found.loops_of_others(kept), other.final.loops_of_others(kept)),
                    points(found.passing_of_others(kept), other.final.passing_of_others(kept))}});
}

inline void write_judge(plot::report& page, const isolation_result& result) {
  std::vector<std::string> columns{"text"};
  for (const std::string& name : result.categories) columns.push_back("judged " + name);
  for (const char* name : {"none", "loops", "C without error"}) columns.emplace_back(name);
  cells rows;
  const auto add = [&](const std::string& name, const judged_pieces& of) {
    rows.push_back({name});
    for (const std::size_t hits : of.judged) rows.back().push_back(percent_of({.hits = hits, .all = of.pieces}));
    for (const std::size_t hits : {of.loops, of.passing}) {
      rows.back().push_back(percent_of({.hits = hits, .all = of.pieces}));
    }
  };
  for (std::size_t c = 0; c < result.categories.size(); ++c) add(result.categories[c], result.held_out[c]);
  for (std::size_t c = 0; c < result.categories.size(); ++c) {
    add(result.categories[c] + ", tokens in random order", result.shuffled[c]);
  }
  page.table("The judges on held-out texts, in pieces as long as the continuations", columns, rows);
}

/// Writes report.html and the pictures. Throws if gnuplot is missing, after everything else is written.
inline void write(const fs::path& folder, const isolation_result& result, const isolation_record& record,
                  std::size_t rounds, bool checkpoint, thread_pool& pool) {
  const bool directions = record.units == "directions";
  plot::report page{"Only " + result.kept_name(), record.model};
  write_facts(page, result, record, rounds, checkpoint);
  if (!result.controls.empty()) page.notes("Verdict", std::vector<std::string>{result.verdict()});
  if (!record.limits.empty()) page.notes("Limits of this run", record.limits);
  if (!result.found().by_score.share.empty()) {
    const std::vector<plot::line_panel> panels = curve_panels(result);
    page.chart("Curves",
               "Bands are 95 % intervals of the share (Wilson). Random: " + std::to_string(result.draws) +
                   " draws for every point, counted together.",
               panels, {.x_label = "share of the units removed"});
    page.picture_file("curve", plot::lines(panels, {.title = "Keeping " + result.kept_name(),
                                                    .x_label = "share of the units removed",
                                                    .y_label = "share; nats per token"}));
  }
  write_matrix(page, result);
  if (all_kept(result)) page.picture("The matrix", "", "matrix", picture_of_matrix(result));
  if (!result.controls.empty()) {
    page.picture("Where it sits",
                 "Points with 95 % intervals (Wilson); bars are nats per token, none where no texts were measured.",
                 "where-it-sits", picture_of_controls(result));
    write_controls(page, result);
  }
  write_swapped(page, result);
  write_layers(page, result, directions);
  write_continuations(page, result);
  write_judge(page, result);
  page.notes(
      "How it was done",
      std::vector<std::string>{
          "Every second text of a category gives the scores and trains the judge; the others are measured. The size of "
          "the removal is chosen by prompts from half of those; the shares above are of prompts from the other half, "
          "the "
          "loss is that of all of them. Where a category has one such text, the halves are of that text.",
          "A continuation is a loop if fewer than half of its runs of four tokens are different; it counts as no "
          "category.",
          directions
              ? "The stream is edited between layers: not after the embedding, not before the unembedding, "
                "nothing at the logits, nothing at the first position."
              : "Only activations inside blocks are overwritten: not the embedding, not the unembedding, nothing "
                "at the logits.",
          "The judge is naive Bayes on byte 1- to 5-grams of the texts; it knows nothing of the model. \"None\" is "
          "learned "
          "from the texts with their words shuffled, and from random pieces of words.",
          "The second judge reads C: characters, brackets, and which tokens may stand side by side.",
          "Continuations are drawn at temperature 0.8 from the best tokens of probability 0.9 together. On curves and "
          "in the table of where it sits, a continuation of 16 tokens or more ends when the judge gives one category a "
          "probability of at least 0.85."});
  page.write(folder, pool);
}

}  // namespace isolate_report
