// SPDX-License-Identifier: MIT
// How alike the activations of layers, sites, heads, or of two models, are over the same texts.
#include <iostream>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/similarity/points.hpp>

#include "compare_points.hpp"
#include "compare_report.hpp"
#include "support/device.hpp"
#include "support/program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t seed = 1;  // of exchanged texts

/// Refuses a second model for which the texts are other tokens.
void check_same_tokens(const corpus& input, const fs::path& with, const architecture& shape,
                       const architecture& first) {
  if (shape.vocabulary != first.vocabulary) {
    throw bad_input{with.string(), "--with",
                    "a model of the same vocabulary, " + std::to_string(first.vocabulary) + " tokens",
                    std::to_string(shape.vocabulary)};
  }
  if (!input.words || !tokenizer::present_in(with)) return;
  const tokenizer words{with};
  for (std::size_t text = 0; text < input.size(); ++text) {
    if (words.decode(input.tokens[text]) == input.words->decode(input.tokens[text])) continue;
    throw bad_input{with.string(), "--with", "the vocabulary of the first model",
                    "another one: text " + std::to_string(text) + " would be other tokens"};
  }
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{
      "compare",
      "Compares the activations of layers, sites and heads, or of two models, over the same texts: every "
      "point with every other, under metrics of whole sets of vectors. Writes report.html, pictures/, data/ "
      "and summary.json.",
      "--model examples/demo-model --texts examples/texts --length 64 --positions 1: --sites resid_post --out "
      "comparison"};
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--positions", "--threads", "--device", "--out"});
  std::vector<std::string> sites{"attn_out", "resid_post"}, chosen, names;
  const std::vector<named_set_metric> known = set_metrics();
  for (const named_set_metric& each : known) names.push_back(each.name);
  chosen = names;
  bool heads = false;
  fs::path with;
  app.option("--sites", &sites, "Sites, separated by commas: a point for each of them and layer")
      .separated_by(',')
      .one_of(compare::comparable_sites())
      .shown();
  app.option("--heads", &heads, "A point for every head, too: its output z");
  app.option("--with", &with,
             "What to compare the model's points with, too: the folder of a second model, or a file that `capture` "
             "wrote of the same texts and positions; its points end in @2")
      .type("PATH")
      .check(program::no_path);
  app.option("--metrics", &chosen, "Metrics, separated by commas").separated_by(',').one_of(names).shown();

  return program::run_on_device(app, argc, argv, [&](auto backend) {
    using model_type = model<any_opt, float, decltype(backend)>;
    const corpus input = app.read_input();
    model_type opt{checkpoint{app.model}, backend};
    app.report(opt);
    app.check(input, opt.shape());
    compare::results all{.model = fs::canonical(app.model).filename().string()};
    if (app.ids.empty() && input.size() > 1) app.survey(input, "the level of chance is too high", all.limits);
    const fs::path data = app.make_folder("data");

    compare::probe_type probe = compare::make_probe(app, sites, heads, app.layers_of(opt.layers()));
    const auto run = [&](model_type& what, compare::probe_type& into) {
      program::progress line{"layers"};
      what.on_progress([&](std::size_t done, std::size_t total) { line(done, total); });
      what.run(input.tokens, into);
    };
    run(opt, probe);
    std::vector<std::size_t> text_of, rows;
    for (std::size_t text = 0; text < input.size(); ++text) {
      rows.push_back(probe.positions_of(text).size());
      text_of.insert(text_of.end(), rows.back(), text);
    }
    compare::point_list points = compare::points_of(probe, sites, heads), others;
    if (!with.empty() && fs::is_regular_file(with)) {
      others = compare::read_points(with, sites, heads, rows);
    } else if (!with.empty()) {
      model_type second{checkpoint{with}, backend};
      check_same_tokens(input, with, second.shape(), opt.shape());
      app.check(input, second.shape());
      compare::probe_type second_probe = compare::make_probe(app, sites, heads, app.layers_of(second.layers()));
      run(second, second_probe);
      others = compare::points_of(second_probe, sites, heads);
    }
    all.points = points.points;
    for (activation_point& each : others.points) {
      all.points.push_back({.name = each.name + "@2", .vectors = each.vectors});
    }
    all.facts = {{"architecture", describe(opt.shape())},
                 {"texts", std::to_string(input.size())},
                 {"vectors of each point", std::to_string(text_of.size())},
                 {"positions", app.positions}};
    if (!with.empty()) all.facts.emplace_back("compared with (@2)", with.string());
    const auto limits = limits_of(all.points, text_of);
    all.limits.insert(all.limits.end(), limits.begin(), limits.end());

    std::vector<named_set_metric> metrics;
    for (const std::string& name : names) {
      if (std::ranges::count(chosen, name) != 0) metrics.push_back(by_name(known, name));
    }
    {
      program::progress line{"metrics"};
      all.found = compare_points(all.points, text_of, metrics, seed,
                                 [&](std::size_t done, std::size_t total) { line(done, total); });
    }
    for (const point_similarities& each : all.found) write_npy(data / (each.metric + ".npy"), each.values.view());
    write_file(app.out / "summary.json", compare::summary_of(all, app.record(opt, input, {{"exchanged texts", seed}})));
    for (const std::string& limit : limits) std::cerr << "compare: note: " << limit << '\n';
    compare::make_report(all).write(app.out, opt.backend().pool());
    for (const point_similarities& each : all.found) {
      std::cout << each.metric << ": " << finding_of(each, all.points) << '\n';
    }
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
