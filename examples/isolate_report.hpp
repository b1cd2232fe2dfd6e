// SPDX-License-Identifier: MIT
#pragma once
// What `isolate` writes.
#include <numeric>
#include <optional>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/opt/pruned_checkpoint.hpp>
#include <optscope/plot/heatmap.hpp>
#include <optscope/plot/intervals.hpp>
#include <optscope/plot/lines.hpp>
#include <optscope/plot/report.hpp>
#include <set>

#include "isolate_study.hpp"

namespace isolate {

/// A study that can be written.
struct reported_study : study {
  bool even_layers = false;  // model/ has as many neurons in every layer

  void write(const program::app& app, std::size_t kept) {
    const isolated& found = kept_of[kept];
    const std::string model = fingerprint(opt.files());
    const std::string about =
        std::to_string(found.chosen) + " units out, to keep " + texts.categories[kept] + ", by " + how.by;
    write_removal(app.out / "edits.json", found.what, model, about);
    if (!how.directions()) even_layers = write_pruned(opt.files(), opt.shape(), found.what, app.out / "model");
    write_summary(app.out / "summary.json", kept);
    write_scores(app.out / "scores.tsv", kept);
    write_continuations(app.out / "continuations.json", kept);
    make_report(kept).write(app.out, opt.backend().pool());
  }

 private:
  void describe(json_writer& json, const behaviour& b) const {
    const auto list = [&](const char* name, const auto& values) {
      json.key(name).begin_array();
      for (const auto value : values) json.value(value);
      json.end_array();
    };
    json.begin_object();
    list("loss", b.loss);
    json.key("judged").begin_array();
    for (const auto& row_of : b.judged) {
      json.begin_array();
      for (const std::size_t count : row_of) json.value(count);
      json.end_array();
    }
    json.end_array();
    list("code_like", b.code_like);
    json.end_object();
  }

  void write_summary(const fs::path& path, std::size_t kept) const {
    json_writer json;
    json.begin_object().field("model", opt.files().folder().filename().string()).field("keep", texts.categories[kept]);
    json.field("by", how.by).field("replace", how.with).field("units", how.units).key("categories").begin_array();
    for (std::size_t c = 0; c < texts.categories.size(); ++c) {
      json.begin_object().field("name", texts.categories[c]).field("texts", texts.texts[c]);
      json.field("scoring_tokens", tokens_of(c)).end_object();
    }
    json.end_array().field("units_in_all", units()).field("overlap_of_halves", alike.of_halves.value_or(missing));
    json.field("overlap_of_seeds", alike.of_seeds.value_or(missing)).field("transformers_reads_model", even_layers);
    json.key("nothing_removed");
    describe(json, whole);
    json.key("kept").begin_array();
    for (std::size_t c = 0; c < kept_of.size(); ++c) {
      const isolated& each = kept_of[c];
      if (!each.measured()) continue;
      json.begin_object().field("category", texts.categories[c]).field("removed", each.chosen);
      json.field("reached_95_percent", each.reached).key("behaviour");
      describe(json, each.final);
      for (const auto& [name, points] : {std::pair{"by_score", &each.by_score}, std::pair{"random", &each.random},
                                         std::pair{"reversed", &each.reversed}}) {
        json.key(name).begin_array();
        for (std::size_t i = 0; i < points->share.size(); ++i) {
          json.begin_object().field("share", points->share[i]).key("behaviour");
          describe(json, points->behaviours[i]);
          json.end_object();
        }
        json.end_array();
      }
      json.end_object();
    }
    json.end_array().key("where_it_sits").begin_array();
    for (const row& each : rows) {
      json.begin_object().field("what", each.what).field("removed", each.removed).key("behaviour");
      describe(json, each.found);
      json.end_object();
    }
    json.end_array().field(
        "verdict", rows.empty() ? std::string{}
                                : verdict(rows, kept, opt.layers(), texts.categories[kept], kept_of[kept].reached));
    json.key("limits").begin_array();
    for (const std::string& limit : limits()) json.value(limit);
    json.end_array().end_object();
    write_file(path, json.text() + "\n");
  }

  void write_scores(const fs::path& path, std::size_t kept) const {
    const std::vector<double> score = score_of(scored, kept);
    const std::set<std::size_t> gone(kept_of[kept].numbers.begin(), kept_of[kept].numbers.end());
    std::string table = "kind\tlayer\tindex\tscore\tremoved\n";
    for (const std::size_t u : order(kept)) {
      const unit what = numbering[u];
      table += std::string{name_of(what.kind)} + "\t" + std::to_string(what.layer) + "\t" + std::to_string(what.index) +
               "\t" + (std::isfinite(score[u]) ? rounded(score[u], 6) : "") + "\t" + (gone.count(u) != 0 ? "1" : "0") +
               "\n";
    }
    write_file(path, table);
  }

  void write_continuations(const fs::path& path, std::size_t kept) const {
    json_writer json;
    json.begin_array();
    for (std::size_t i = 0; i < finally.prompts.tokens.size(); ++i) {
      const std::string& before = whole.written[i];
      const std::string& after = kept_of[kept].final.written[i];
      json.begin_object().field("category", texts.categories[finally.prompts.category[i]]);
      json.field("prompt", words.decode(finally.prompts.tokens[i])).field("before", before);
      json.field("after", after).field("after_is", texts.categories[bench.decide(after)]).end_object();
    }
    json.end_array();
    write_file(path, json.text() + "\n");
  }

  [[nodiscard]] static std::size_t of_others(const std::vector<std::size_t>& counts, std::size_t kept) {
    return std::accumulate(counts.begin(), counts.end(), std::size_t{0}) - counts[kept];
  }

  [[nodiscard]] std::size_t tokens_of(std::size_t category) const {
    std::size_t count = 0;
    for (const token_list& text : texts.scoring[category]) count += text.size() - (words.adds_bos() ? 1 : 0);
    return count;
  }

  /// Share turned and loss over the share removed.
  std::vector<plot::line_panel> panels(std::size_t kept) const {
    const isolated& found = kept_of[kept];
    plot::line_panel turned{.title = "continued as " + texts.categories[kept] + ", of the other prompts",
                            .y_range = plot::value_range{.low = 0, .high = 1}};
    plot::line_panel loss{.title = "held-back loss, removed by score"};
    for (const auto& [name, points] : {std::pair{"by score", &found.by_score}, std::pair{"by chance", &found.random},
                                       std::pair{"reversed", &found.reversed}}) {
      plot::line_series series{
          .name = name, .x = {0}, .y = {whole_on_curves.turned_share(kept)}, .colour = plot::hue(turned.series.size())};
      const auto [first_low, first_high] =
          wilson(whole_on_curves.turned(kept).first, whole_on_curves.turned(kept).second);
      series.low = {first_low};
      series.high = {first_high};
      for (std::size_t i = 0; i < points->share.size(); ++i) {
        const auto [hits, count] = points->behaviours[i].turned(kept);
        const auto [low, high] = wilson(hits, count);
        series.x.push_back(points->share[i]);
        series.y.push_back(points->behaviours[i].turned_share(kept));
        series.low.push_back(low);
        series.high.push_back(high);
      }
      turned.series.push_back(std::move(series));
    }
    for (std::size_t c = 0; c < texts.categories.size(); ++c) {
      plot::line_series series{
          .name = texts.categories[c], .x = {0}, .y = {whole_on_curves.loss[c]}, .colour = plot::hue(3 + c)};
      for (std::size_t i = 0; i < found.by_score.share.size(); ++i) {
        series.x.push_back(found.by_score.share[i]);
        series.y.push_back(found.by_score.behaviours[i].loss[c]);
      }
      loss.series.push_back(std::move(series));
    }
    return {turned, loss};
  }

  plot::picture draw_rows(std::size_t kept) const {
    const std::string& name = texts.categories[kept];
    std::vector<std::string> names;
    plot::interval_panel share{.title = "other prompts continued as " + name,
                               .x_range = plot::value_range{.low = 0, .high = 1}};
    plot::interval_panel cost{.title = "loss of " + name + " above the whole model's", .colour = plot::hue(1)};
    for (const row& each : rows) {
      names.push_back(each.what);
      const auto [hits, count] = each.found.turned(kept);
      const auto [low, high] = wilson(hits, count);
      share.values.push_back(each.found.turned_share(kept));
      share.low.push_back(low);
      share.high.push_back(high);
      cost.values.push_back(each.found.loss.empty() ? missing : each.found.loss[kept] - rows[0].found.loss[kept]);
    }
    return plot::intervals(names, std::vector<plot::interval_panel>{share, cost}, "Where it sits: keeping " + name);
  }

  plot::picture draw_matrix() const {
    tensor<float, 2> matrix{{kept_of.size(), kept_of.size()}};
    for (std::size_t k = 0; k < kept_of.size(); ++k) {
      for (std::size_t c = 0; c < kept_of.size(); ++c) {
        matrix(k, c) = static_cast<float>(kept_of[k].final.judged[c][k]) /
                       static_cast<float>(std::max<std::size_t>(1, kept_of[k].final.prompts(c)));
      }
    }
    plot::heatmap_options options;
    options.title = "Kept (down), prompt (across)";
    options.value_label = "continued as the kept category";
    for (const std::string& name : texts.categories) options.groups.push_back({.name = name, .size = 1});
    options.range = plot::value_range{.low = 0, .high = 1};
    return plot::heatmap(matrix.view(), options);
  }

  plot::report make_report(std::size_t kept) const {
    const std::vector<std::string>& names = texts.categories;
    const isolated& found = kept_of[kept];
    plot::report page{"Only " + names[kept], opt.files().folder().filename().string()};
    const auto [hits, count] = found.final.turned(kept);
    const auto [hits_before, count_before] = whole.turned(kept);
    page.facts(
        "What was found",
        std::vector<std::pair<std::string, std::string>>{
            {"removed", std::to_string(found.chosen) + " of " + std::to_string(units()) +
                            (how.units == "both" ? " neurons and heads" : " " + how.units)},
            {"other prompts continued as " + names[kept], percent_of(hits, count)},
            {"before", percent_of(hits_before, count_before)},
            {"continuations of other prompts with the structure of code",
             percent_of(of_others(whole.code_like, kept), count_before) + " → " +
                 percent_of(of_others(found.final.code_like, kept), count)},
            {"loss of " + names[kept], rounded(whole.loss[kept]) + " → " + rounded(found.final.loss[kept])},
            {"overlap of the sets of two halves of the scoring texts", rounded(alike.of_halves.value_or(missing), 2)},
            {"overlap of the sets of two seeds", rounded(alike.of_seeds.value_or(missing), 2)},
            {"score", how.by + (how.rounds > 1 ? ", computed " + std::to_string(how.rounds) + " times" : "")},
            {"in their place", how.with},
            {"the smaller checkpoint, model/",
             how.directions() ? "none: directions of the stream are in no weight"
             : even_layers    ? "read by this library and by transformers"
                              : "read by this library alone: layers have different sizes (see --even)"}});
    if (!rows.empty())
      page.notes("Verdict", std::vector<std::string>{verdict(rows, kept, opt.layers(), names[kept], found.reached)});
    if (!limits().empty()) page.notes("Limits of this run", limits());
    if (!found.by_score.share.empty()) {
      page.chart("Curves",
                 "Bands are 95 % intervals of the share (Wilson). By chance: " + std::to_string(how.draws) +
                     " draws for every point, counted together.",
                 panels(kept), {.x_label = "share of the units removed"});
      page.picture_file("curve", plot::lines(panels(kept), {.title = "Keeping " + names[kept],
                                                            .x_label = "share of the units removed",
                                                            .y_label = "share; nats per token"}));
    }

    std::vector<std::string> columns{"kept", "removed", "loss of it"};
    for (const std::string& name : names) columns.push_back("prompts: " + name);
    std::vector<std::vector<std::string>> cells;
    for (std::size_t k = 0; k < kept_of.size(); ++k) {
      const behaviour& b = kept_of[k].final;
      if (!kept_of[k].measured()) continue;
      cells.push_back({names[k], percent(static_cast<double>(kept_of[k].chosen) / static_cast<double>(units())),
                       rounded(whole.loss[k]) + " → " + rounded(b.loss[k])});
      for (std::size_t c = 0; c < names.size(); ++c) cells.back().push_back(percent_of(b.judged[c][k], b.prompts(c)));
    }
    page.table("Continued as the kept category, all categories in turn", columns, cells);
    if (!how.alone) page.picture("The matrix", "", "matrix", draw_matrix());

    columns = {"what is removed", "units"};
    for (const std::string& name : names) columns.push_back("loss of " + name);
    for (std::size_t c = 0; c < names.size(); ++c) {
      if (c != kept) columns.push_back(names[c] + " continued as " + names[kept]);
    }
    cells.clear();
    for (const row& each : rows) {
      cells.push_back({each.what, std::to_string(each.removed)});
      for (std::size_t c = 0; c < names.size(); ++c) {
        cells.back().push_back(each.found.loss.empty() ? "–" : rounded(each.found.loss[c]));
      }
      for (std::size_t c = 0; c < names.size(); ++c) {
        if (c == kept) continue;
        const std::size_t prompts = each.found.prompts(c);
        cells.back().push_back(prompts == 0 ? "–" : percent_of(each.found.judged[c][kept], prompts));
      }
    }
    if (!rows.empty()) {
      page.picture("Where it sits",
                   "Points with 95 % intervals (Wilson); bars are nats per token, none where no texts were measured.",
                   "where-it-sits", draw_rows(kept));
      page.table("Where it sits, in numbers", columns, cells);
    }
    plot::line_panel where;
    if (!how.directions()) where.y_range = plot::value_range{.low = 0, .high = 1};
    for (const unit_kind kind : kinds) {
      plot::line_series series{.name = std::string{name_of(kind)} + "s", .colour = plot::hue(where.series.size())};
      for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
        const layer_removal& gone = found.what.layers[layer];
        const std::size_t removed = kind == unit_kind::head     ? gone.heads.size()
                                    : kind == unit_kind::neuron ? gone.neurons.size()
                                                                : gone.directions.size();
        series.x.push_back(static_cast<double>(layer));
        series.y.push_back(static_cast<double>(removed) / static_cast<double>(numbering.count(kind)));
      }
      where.series.push_back(std::move(series));
    }
    page.chart("The removed parts by layer", "", std::vector<plot::line_panel>{where}, {.y_label = "share removed"});

    cells.clear();
    std::vector<std::size_t> shown(names.size());
    for (std::size_t i = 0; i < finally.prompts.tokens.size(); ++i) {
      if (shown[finally.prompts.category[i]]++ >= 4) continue;
      cells.push_back({names[finally.prompts.category[i]], words.decode(finally.prompts.tokens[i]), whole.written[i],
                       found.final.written[i], names[bench.decide(found.final.written[i])]});
    }
    page.table("Continuations side by side",
               std::vector<std::string>{"prompt of", "prompt", "whole model", "what is left", "judged"}, cells);

    cells.clear();
    columns = {"text"};
    for (const std::string& name : names) columns.push_back("judged " + name);
    for (std::size_t c = 0; c < names.size(); ++c) {
      std::vector<std::size_t> judged(names.size());
      std::size_t pieces = 0;
      const auto length = static_cast<std::ptrdiff_t>(how.new_tokens);
      for (const token_list& text : texts.measured[c]) {
        for (auto at = text.begin() + 1; text.end() - at >= length && pieces < 200; at += length, ++pieces) {
          ++judged[bench.decide(words.decode(token_list(at, at + length)))];
        }
      }
      cells.push_back({names[c]});
      for (const std::size_t each : judged) cells.back().push_back(percent_of(each, pieces));
    }
    page.table("The judge on held-back texts, pieces as long as the continuations", columns, cells);
    page.notes(
        "How it was done",
        std::vector<std::string>{
            "Every second text of a category gives the scores and trains the judge, the others are measured. The "
            "size of the removal is chosen on one set of prompts, the figures above are of another.",
            how.directions() ? "The stream is edited between layers: not behind the embedding, not in front of the "
                               "unembedding, nothing at the logits, nothing at the first position."
                             : "Only activations inside blocks are overwritten: not the embedding, not the "
                               "unembedding, nothing at the logits.",
            "The judge is naive Bayes on byte 1- to 5-grams of the texts; it knows nothing of the "
            "model.",
            "Continuations are drawn at temperature 0.8 from the best tokens of probability 0.9 together. On curves "
            "and in the table of where it sits one of 16 tokens or more ends when the judge is sure (0.85)."});
    return page;
  }
};

}  // namespace isolate
