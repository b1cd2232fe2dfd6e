// SPDX-License-Identifier: MIT
// Which layers, heads, MLPs and neurons are more or less active for which category of texts.
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/corpus/survey.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/units/category_windows.hpp>
#include <optscope/units/corpus_sums.hpp>
#include <optscope/units/effects.hpp>
#include <optscope/units/top_neurons.hpp>
#include <optscope/units/unit_findings.hpp>
#include <string>
#include <utility>
#include <vector>

#include "light_up_report.hpp"
#include "support/device.hpp"
#include "support/interruption.hpp"
#include "support/program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t seed = 0;  // of random labellings

/// What a saved state belongs to: the model and the texts.
std::string fingerprint_of(const checkpoint& files, const corpus& texts) {
  std::string run = "light_up 3 " + fingerprint(files);
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const fs::path& file = texts.texts[t].file;
    run += "\n" + texts.category_name(t) + " " + file.string() + " " + std::to_string(fs::file_size(file)) + " " +
           std::to_string(fs::last_write_time(file).time_since_epoch().count());
  }
  return run;
}

/// Runs all texts through the model. Ctrl-C saves what is done and ends the program.
template <class Model>
void sum_up_texts(Model& opt, const corpus& texts, const fs::path& state, std::size_t length, unit_findings& found) {
  const program::interruption ctrl_c;
  program::progress line{"texts"};
  const resumable_run run{.state = state.string(),
                          .fingerprint = fingerprint_of(opt.files(), texts),
                          .length = length,
                          .go_on = [&](std::size_t done, std::size_t all) {
                            line(done, all);
                            return !ctrl_c.requested();
                          }};
  const std::size_t done = sum_up_corpus(opt, texts, found.groups, found.sums, run);
  if (done == texts.size()) return;
  throw error{"stopped after " + std::to_string(done) + " of " + std::to_string(texts.size()) +
              " texts; the same command resumes there"};
}

/// The length that texts are cut to, so that those of all categories are alike; 0: no cut.
std::size_t length_of(const text_survey& known, const corpus& texts) {
  std::vector<std::vector<std::size_t>> lengths(texts.categories.size());
  for (std::size_t t = 0; t < texts.size(); ++t) lengths[texts.category_of[t]].push_back(known.lengths[t]);
  return equal_length(std::move(lengths));
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{
      "light_up",
      "Finds the layers, heads, MLPs and neurons that are more or less active for a category of texts than for the "
      "others. Texts must be independent documents. Writes report.html, units.tsv, pictures/ and summary.json. Ctrl-C "
      "stops it; the same command resumes.",
      "--model examples/demo-model --texts examples/texts --texts examples/more-texts --out light-up"};
  app.offer({"--model", "--texts", "--threads", "--device", "--out"});
  std::vector<std::string> statistics;
  for (const unit_statistic each : all_unit_statistics) statistics.emplace_back(name_of(each));
  std::string by{name_of(unit_statistic::mean_abs)};
  neuron_search search;
  app.option("--by", &by, "The statistic of a unit's activity that is compared").one_of(statistics).shown();
  app.option("--top", &search.top, "Show where this many neurons of each category are high or low")
      .check(program::not_positive)
      .shown();
  app.option("--look", &search.tokens, "Search this many tokens of each category for such places")
      .check(program::not_positive)
      .shown();

  return program::run_on_device(app, argc, argv, [&](auto backend) {
    const corpus texts = app.find_texts();
    model<any_opt, float, decltype(backend)> opt{checkpoint{app.model}, backend};
    app.report(opt);
    app.make_folder();

    const text_groups groups{texts.texts_of_each()};
    unit_findings found{
        .categories = texts.categories, .groups = groups, .sums = unit_sums{opt.shape(), groups, head_norms_of(opt)}};
    for (const unit_statistic each : all_unit_statistics) {
      if (name_of(each) == by) found.by = each;
    }
    std::vector<std::string> limits;
    const std::size_t length = length_of(app.survey(texts, "p is too small", limits), texts);
    if (length > 0) {
      limits.push_back(
          "the categories' texts are of different lengths, and activity depends on the position: of each "
          "text only the first " +
          std::to_string(length) + " tokens count");
      std::cerr << "light_up: note: " << limits.back() << '\n';
    }
    sum_up_texts(opt, texts, app.out / "state", length, found);
    cpu host{app.threads};
    for (const unit_statistic each : all_unit_statistics) {
      found.effects.emplace(each, compare_categories(found.sums, found.groups, each, host, seed));
    }
    found.limits = limits_of(found);
    found.limits.insert(found.limits.end(), limits.begin(), limits.end());
    look_at_top_neurons(opt, texts, found, search);

    const std::string model_name = fs::canonical(app.model).filename().string(), shape = describe(opt.shape());
    write_unit_table(app.out / "units.tsv", found);
    write_unit_summary(app.out / "summary.json", found, *texts.words, model_name, shape,
                       app.record(opt, texts, {{"labellings", seed}, {"texts and places shown", search.seed}}));
    light_up::make_report(found, *texts.words, model_name, shape).write(app.out, opt.backend().pool());
    fs::remove(app.out / "state");
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
