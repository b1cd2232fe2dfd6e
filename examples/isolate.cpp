// SPDX-License-Identifier: MIT
// Removes from a model what one category of texts does not need, and shows what the rest then writes.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/core/selection.hpp>
#include <optscope/corpus/halves.hpp>
#include <optscope/isolation/code_structure.hpp>
#include <optscope/isolation/direction_candidates.hpp>
#include <optscope/isolation/isolation_study.hpp>
#include <optscope/isolation/unit_candidates.hpp>
#include <optscope/isolation/written_texts.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/opt/pruned_checkpoint.hpp>
#include <optscope/opt/pruned_weights.hpp>
#include <string>
#include <utility>
#include <vector>

#include "isolate_report.hpp"
#include "support/program.hpp"

using namespace optscope;
using pruned_model = model<any_opt, float, cpu, pruned_weights<float>>;

namespace {

/// A custom score needs one line here.
const std::map<std::string, any_removal_score> scores{
    {"ratio-frequency", activation_ratio<unit_statistic::frequency>{}},
    {"ratio-mean-abs", activation_ratio<unit_statistic::mean_abs>{}},
    {"ratio-rms", activation_ratio<unit_statistic::rms>{}},
    {"largest-ratio", largest_ratio<unit_statistic::rms>{}},
    {"difference", mean_difference{}},
    {"attribution", attribution_ratio{}},
    {"ratio-attribution", ratio_and_attribution{}},
    {"ablation", ablation_effect{}},
    {"mask", learned_mask{}}};
const std::map<std::string, replacement> replacements{
    {"zero", replacement::zero}, {"kept-mean", replacement::kept_mean}, {"mean", replacement::mean}};
const std::map<std::string, std::vector<unit_kind>> kinds_of{{"neurons", {unit_kind::neuron}},
                                                             {"heads", {unit_kind::head}},
                                                             {"both", {unit_kind::neuron, unit_kind::head}},
                                                             {"directions", {unit_kind::direction}}};

/// Of the directions, if nothing is measured that says how many.
constexpr double share_of_directions = 0.05;

template <class Value>
std::vector<std::string> names_of(const std::map<std::string, Value>& all) {
  std::vector<std::string> names;
  for (const auto& [name, value] : all) names.push_back(name);
  return names;
}

/// What the command line says besides the settings of the library.
struct options {
  std::string keep, by = "mask", with = "zero", units, keep_layers;
  std::size_t scoring_tokens = 20000, new_tokens = 48, seed = 0;
  std::optional<std::size_t> written;
  bool no_curves = false, checkpoint = false;
  double hours = 1;
  isolation_settings study;
  unit_candidate_settings candidates;

  [[nodiscard]] bool directions() const { return units == "directions"; }
};

/// Shows what the study does, and ends an ablation that would take longer than `hours`.
class shown_progress {
 public:
  shown_progress(double hours, std::size_t units) : hours_{hours}, units_{units} {}

  void operator()(const std::string& what, double done, double all) {
    if (what != what_) {
      line_ = std::make_unique<program::progress>(what);
      what_ = what;
      begin_ = std::chrono::steady_clock::now();
    }
    if (what == "ablation") {
      show_ablation(done, all);
    } else {
      (*line_)(static_cast<std::size_t>(done), static_cast<std::size_t>(all));
    }
  }

 private:
  void show_ablation(double done, double all) {
    using hours = std::chrono::duration<double, std::ratio<3600>>;
    const double passed = hours(std::chrono::steady_clock::now() - begin_).count(), in_all = passed * all / done;
    char text[80];
    std::snprintf(text, sizeof text, "%.1f %%, %.1f of about %.1f minutes", 100 * done / all, 60 * passed, 60 * in_all);
    line_->show([&] { return std::string{text}; });
    if (passed * 3600 < 5 || in_all < hours_) return;
    char most[40];
    std::snprintf(most, sizeof most, "at most %.2g hours of work", hours_);
    std::snprintf(text, sizeof text, "about %.2g for the %zu units", in_all, units_);
    throw bad_input{"", "--by ablation", std::string{most} + " (--hours, --ablation-tokens)", text};
  }

  double hours_;
  std::size_t units_;
  std::string what_;
  std::unique_ptr<program::progress> line_;
  std::chrono::steady_clock::time_point begin_;
};

void add_options(program::app& app, options& how, std::vector<program::option>& of_units) {
  app.option("--keep", &how.keep, "The category to keep").required().type("CATEGORY");
  app.option(
         "--units", &how.units,
         "What may be removed. If not given, directions, which cost least; with an option that is for neurons and "
         "heads alone, both of these. Directions are those of the stream into a layer; they are set to the kept "
         "category's mean, first those along which other categories lie farthest from it, in units of its own spread")
      .one_of(names_of(kinds_of));
  of_units.push_back(app.option("--checkpoint", &how.checkpoint,
                                "Remove neurons and heads, not directions, and write the smaller checkpoint, model/"));
  of_units.push_back(
      app.option("--by", &how.by, "Score by which neurons and heads are removed").one_of(names_of(scores)).shown());
  of_units.push_back(app.option("--rounds", &how.candidates.rounds,
                                "Number of scoring rounds; each round first removes the top units of the previous "
                                "one. Not for mask, ablation, attributions")
                         .check(program::not_positive)
                         .shown());
  of_units.push_back(app.option("--replace", &how.with, "What replaces a removed neuron or head")
                         .one_of(names_of(replacements))
                         .shown());
  app.option("--keep-layers", &how.keep_layers, "Layers from which nothing is removed").type("SPEC");
  of_units.push_back(app.option("--even", &how.candidates.even,
                                "Remove the same number of neurons from every layer that is not kept. If no layer is "
                                "kept, transformers reads the smaller checkpoint, model/"));
  app.option("--scoring-tokens", &how.scoring_tokens, "Compute scores from at most this many tokens of each category")
      .check(program::not_positive)
      .shown();
  app.option("--written", &how.written,
             "In addition, compute scores from this many tokens of each category that the model itself writes from "
             "its prompts; if not given, 16384 for mask and none otherwise")
      .type("N");
  app.option("--share", &how.study.share, "Remove this share of the units: no curves, no search for the smallest share")
      .check(program::number_within(0, false, 1, "a number from 0 to 1"));
  app.option("--alone", &how.study.only_kept, "Analyse only --keep, not every category");
  app.option(
      "--no-curves", &how.no_curves,
      "Measure no curves, compare no sets and do not repeat it with the halves of the texts swapped: remove --share "
      "of the units; if not given, 5 % of the directions or, with mask, what --mask-cost allows");
  app.option("--mask-steps", &how.candidates.mask.steps, "mask: steps of learning")
      .check(program::not_positive)
      .shown();
  app.option("--mask-cost", &how.candidates.mask.cost,
             "mask: nats per token that the kept category may lose on the texts that the mask is learned from")
      .check(program::not_above_zero)
      .shown();
  app.option(
         "--mask-after", &how.candidates.mask.continuation_weight,
         "mask: weight of the kept category's loss where its text follows the start of another, relative to the weight "
         "of making other texts continue as the kept category")
      .check(program::number_within(0, false, std::numeric_limits<double>::max(), "a number from 0"))
      .shown();
  app.option("--ablation-tokens", &how.candidates.ablation_tokens,
             "Tokens of each category whose loss --by ablation measures")
      .check(program::not_positive)
      .shown();
  app.option("--hours", &how.hours, "Refuse --by ablation if it would take longer")
      .check(program::not_above_zero)
      .shown();
  app.option("--shares", &how.study.points,
             "Points of a curve, each with all prompts; if not given, 20 or as many as --minutes allow")
      .check(program::not_positive)
      .type("N");
  app.option("--minutes", &how.study.minutes,
             "About how long all removals may take. For a large model curves use fewer prompts and tokens, at least a "
             "quarter, then fewer points, at least 4")
      .check(program::not_above_zero)
      .shown();
  app.option("--prompts", &how.study.prompts,
             "Prompts of each category on curves; the final measurement uses three times as many others")
      .check(program::not_positive)
      .shown();
  app.option("--new", &how.new_tokens, "Tokens by which a prompt is continued").check(program::not_positive).shown();
  app.option(
         "--loss-tokens", &how.study.held_out_finally,
         "In the end, measure the loss of at most this many tokens of each category, in windows drawn evenly from all "
         "held-out texts")
      .check(program::not_positive)
      .shown();
  app.option("--seed", &how.seed, "Seed of all that is drawn: prompts, continuations, random removals, masks").shown();
}

/// Refuses options that do not go together, and fills in what follows from them.
void complete(options& how, const std::vector<program::option>& of_units) {
  const bool of_units_given = std::ranges::any_of(of_units, [](const program::option& each) { return each.given(); });
  if (how.units.empty()) how.units = of_units_given ? "both" : "directions";
  for (const program::option& each : of_units) {
    if (how.directions() && each.given()) {
      throw program::wrong_usage{each.name(), "is for neurons and heads, not for directions"};
    }
  }
  how.study.seed = how.candidates.mask.seed = how.seed;
  how.candidates.score = scores.at(how.by);
  how.candidates.with = replacements.at(how.with);
  how.candidates.kinds = kinds_of.at(how.units);
  how.candidates.round_share = how.study.share.value_or(unit_candidates<pruned_model>::most_on_curves);
  if (how.no_curves && !how.study.share && how.directions()) how.study.share = share_of_directions;
  if (how.no_curves && !how.study.share && !how.candidates.score.absolute) {
    throw program::wrong_usage{"--share", "is required with --no-curves and --by " + how.by};
  }
  if (how.candidates.rounds > 1 && how.candidates.score.reads != score_input::activity) {
    throw program::wrong_usage{"--rounds", "scores by " + how.by + " are computed once"};
  }
  if (how.directions()) {
    how.by = "spread of others over own";
    how.with = "kept-mean";
  }
  how.study.search = !how.study.share && !how.no_curves;
  how.study.compare_sets = !how.no_curves;
}

std::size_t category_named(const std::string& name, const std::vector<std::string>& categories) {
  const auto place = std::ranges::find(categories, name);
  if (place != categories.end()) return static_cast<std::size_t>(place - categories.begin());
  std::string names;
  for (const std::string& each : categories) names += (names.empty() ? "" : ", ") + each;
  throw bad_input{"", "--keep", "one of " + names, name};
}

std::vector<std::size_t> layers_to_remove_from(const options& how, std::size_t layers) {
  const std::vector<std::size_t> whole =
      how.keep_layers.empty() ? std::vector<std::size_t>{} : parse_selection(how.keep_layers, layers, "--keep-layers");
  std::vector<std::size_t> result;
  const std::size_t first =
      how.directions() ? direction_candidates<pruned_model>::first_layer : unit_candidates<pruned_model>::first_layer;
  for (std::size_t layer = first; layer < layers; ++layer) {
    if (std::ranges::count(whole, layer) == 0) result.push_back(layer);
  }
  if (result.empty()) throw bad_input{"", "--keep-layers", "a layer to remove from", "none"};
  return result;
}

/// The ids that end a text are not written: [id].
std::vector<bool> banned_tokens(const std::vector<token_id>& ends, std::size_t vocabulary) {
  std::vector<bool> banned;
  for (const token_id end : ends) {
    const auto id = static_cast<std::size_t>(end);
    if (id >= vocabulary) continue;
    banned.resize(std::max(banned.size(), id + 1));
    banned[id] = true;
  }
  return banned;
}

corpus_halves read(const corpus& found, const options& how, bool swapped) {
  return read_halves(
      found,
      {.scoring_tokens = how.scoring_tokens, .measured_texts = 201, .content_bytes = 400001, .swapped = swapped});
}

/// Scores on one half of the texts, measures on the other.
isolation_result study(pruned_model& opt, side_by_side<pruned_model>& copies, const corpus& found,
                       const corpus_halves& halves, const options& how, const isolation_settings& settings,
                       const study_progress& report) {
  const tokenizer& words = *found.words;
  scoring_texts texts{.categories = found.categories, .texts = halves.scoring.tokens_by_category(), .bos = found.bos()};
  const bool reads_mask = !how.directions() && how.candidates.score.reads == score_input::mask;
  const std::size_t written = how.written.value_or(reads_mask ? 16384 : 0);
  if (written != 0) {
    texts.written =
        write_texts(copies, halves.scoring, written, settings.prompt_tokens, words.size(), how.seed, report);
  }
  const ngram_judge judge{halves.contents};
  removal_bench bench{opt, copies, judge};
  bench.what.wanted.new_tokens = how.new_tokens;
  bench.what.wanted.tokens = words.size();
  bench.what.wanted.banned = banned_tokens(opt.files().configuration().eos_token_ids, words.size());
  bench.what.wanted.how.seed += how.seed;
  bench.what.decode = [&](const token_list& ids) { return words.decode(ids); };
  bench.what.check = has_code_structure;
  const auto run = [&](auto candidates) {
    return isolation_study{opt, bench, candidates, texts, halves.measured, settings, report}.run();
  };
  return how.directions() ? run(direction_candidates{opt, texts, how.candidates.layers})
                          : run(unit_candidates{opt, texts, how.candidates});
}

/// What the texts and the time did not allow.
std::vector<std::string> limits_of(const isolation_record& record, const isolation_result& result,
                                   const isolation_settings& how) {
  std::vector<std::string> limits;
  for (std::size_t c = 0; c < result.categories.size(); ++c) {
    const std::string category = "category " + result.categories[c];
    if (record.texts[c] == 1) limits.push_back(category + " has one text: scores and measurements are of its halves");
    if (record.scoring_tokens[c] < 500) {
      limits.push_back(category + " has only " + std::to_string(record.scoring_tokens[c]) +
                       " tokens to compute scores from");
    }
  }
  const std::string why = ": all removals were to take " + duration_text(60 * how.minutes) + " (--minutes, --shares)";
  if (result.fewer_prompts) {
    limits.push_back("curves use " + std::to_string(result.curve_prompts) + " prompts of a category instead of " +
                     std::to_string(how.prompts) + why);
  }
  if (result.fewer_points) {
    limits.push_back("curves have " + std::to_string(result.curve_points) + " points instead of 20" + why);
  }
  return limits;
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{
      "isolate",
      "Removes from a model the directions of the stream, or with --checkpoint the neurons and heads, that one "
      "category "
      "of texts does not need, and continues prompts of all categories with the rest. Texts must be independent "
      "documents. Writes report.html, edits.json, "
      "pictures/, scores.tsv, continuations.json, summary.json and, with --checkpoint, model/.",
      "--model examples/demo-model --texts examples/texts --texts examples/more-texts --keep code --alone --out "
      "only-code"};
  app.offer({"--model", "--texts", "--threads", "--out"});
  options how;
  std::vector<program::option> of_units;
  add_options(app, how, of_units);

  return app.run(argc, argv, [&] {
    complete(how, of_units);
    const corpus found = app.find_texts();
    how.study.kept = category_named(how.keep, found.categories);
    std::vector<std::string> limits;
    app.survey(found, "what is measured on one half of them is partly known from the other", limits);
    const corpus_halves halves = read(found, how, false);
    pruned_model opt{checkpoint{app.model}, cpu{app.threads}};
    app.report(opt);
    require_even_layers(opt.files(), "to remove units");
    app.make_folder();

    how.study.prompt_tokens = std::min(how.study.prompt_tokens, opt.shape().max_positions / 2);
    how.new_tokens = std::min(how.new_tokens, opt.shape().max_positions - how.study.prompt_tokens - 1);
    how.candidates.layers = layers_to_remove_from(how, opt.layers());
    shown_progress progress{how.hours, opt.layers() * (opt.shape().ffn + opt.shape().heads)};
    const study_progress report = std::ref(progress);

    side_by_side<pruned_model> copies{opt};
    isolation_result result = study(opt, copies, found, halves, how, how.study, report);
    if (how.study.compare_sets) {
      isolation_settings again = how.study;
      again.search = again.compare_sets = false;
      again.only_kept = true;
      again.share = static_cast<double>(result.found().removed) / static_cast<double>(result.units_in_all);
      isolation_result other = study(opt, copies, found, read(found, how, true), how, again, report);
      result.swapped = {.removed = other.found().removed,
                        .whole = std::move(other.whole),
                        .final = std::move(other.of[other.kept].final)};
    }
    progress = shown_progress{0, 0};

    isolation_record record{.model = opt.files().folder().filename().string(),
                            .by = how.by,
                            .replace = how.with,
                            .units = how.units,
                            .texts = found.texts_of_each(),
                            .check = "code_like"};
    for (const std::vector<token_list>& own : halves.scoring.tokens_by_category()) {
      record.scoring_tokens.push_back(0);
      for (const token_list& text : own) record.scoring_tokens.back() += text.size() - (found.bos() ? 1 : 0);
    }
    record.limits = limits_of(record, result, how.study);
    record.limits.insert(record.limits.end(), limits.begin(), limits.end());
    const std::string about =
        std::to_string(result.found().removed) + " units removed, to keep " + how.keep + ", by " + how.by;
    write_removal(app.out / "edits.json", result.found().what, fingerprint(opt.files()), about);
    if (how.checkpoint) {
      record.even_layers = write_pruned(opt.files(), opt.shape(), result.found().what, app.out / "model");
    }
    for (std::size_t t = 0; t < found.size(); ++t) {
      const bool measured = record.texts[found.category_of[t]] > 1 && found.index_in_category(t) % 2 == 1;
      (measured ? record.measured_half : record.scoring_half).push_back(found.texts[t].file.string());
    }
    record.run = app.record(opt, found, {{"--seed", how.seed}});
    write_summary(app.out / "summary.json", result, record);
    write_scores(app.out / "scores.tsv", result);
    write_continuations(app.out / "continuations.json", result);
    isolate_report::write(app.out, result, record, how.candidates.rounds, how.checkpoint, opt.backend().pool());
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
