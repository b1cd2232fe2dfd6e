// SPDX-License-Identifier: MIT
// What restores the answer: parts of a clean run are put into a corrupted one, each by itself.
#include <algorithm>
#include <iostream>
#include <optscope/checkpoint/fingerprint.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/residual/patch_agreement.hpp>
#include <optscope/residual/patching.hpp>
#include <optscope/units/gradient_pass.hpp>

#include "patch_report.hpp"
#include "support/program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

const std::vector<std::string> by_position{"resid_pre", "attn_out", "mlp_out"},
    every_site{"resid_pre", "attn_out", "mlp_out", "z"};

/// Refuses prompts of different lengths, with the tokens from the first that differs on.
void check_prompts(const corpus& input) {
  const token_list &clean = input.tokens[0], &corrupted = input.tokens[1];
  if (clean.size() == corrupted.size()) return;
  const auto first = std::ranges::mismatch(clean, corrupted).in1 - clean.begin();
  const auto rest = [&](const token_list& tokens) {
    std::string text;
    for (auto at = static_cast<std::size_t>(first); at < tokens.size() && text.size() < 40; ++at) {
      text += " " + program::shown(input.words->piece(tokens[at]));
    }
    return std::to_string(tokens.size()) +
           (text.empty() ? "" : " (from position " + std::to_string(first) + " on" + text + ")");
  };
  throw bad_input{"", "--prompt and --corrupted", "as many tokens in one as in the other",
                  rest(clean) + " and " + rest(corrupted)};
}

/// Sweeps the sites that are asked for, and estimates the same by one backward pass.
void sweep(model<>& opt, patching<model<>>& task, const std::vector<std::string>& sites,
           patching_report::results& all) {
  const auto slope = task.gradients(gradient_pass{opt});
  const auto add = [&](const std::string& name, bool heads, auto&& patched, auto&& estimated) {
    if (std::ranges::find(sites, name) == sites.end()) return;
    program::progress line{"patches of " + name};
    task.on_progress([&](std::size_t done, std::size_t of) { line(done, of); });
    all.sites.push_back({.name = name, .heads = heads, .patched = patched(), .estimate = estimated(), .agreement = {}});
    patching_report::swept_site& site = all.sites.back();
    site.agreement = agreement_of(site.patched.share, site.estimate, heads ? 0 : task.first_difference(),
                                  heads ? agreement_unit::cell : agreement_unit::column);
  };
  const auto positions_of = [&](auto site) {
    add(
        std::string{decltype(site)::name}, false, [&, site] { return task.by_position(site); },
        [&, site] { return task.estimate_by_position(site, slope); });
  };
  positions_of(site::resid_pre{});
  positions_of(site::attn_out{});
  positions_of(site::mlp_out{});
  add(
      "z", true, [&] { return task.by_head(); }, [&] { return task.estimate_by_head(site::z{}, slope); });
}

void write_data(const fs::path& data, const patching_report::swept_site& site) {
  const auto write = [&](const char* what, const tensor<double, 2>& values) {
    tensor<float, 2> narrow{values.shape()};
    std::transform(values.data(), values.data() + values.size(), narrow.data(),
                   [](double value) { return static_cast<float>(value); });
    write_npy(data / (std::string{what} + "-" + site.name + ".npy"), narrow.view());
  };
  write("patch", site.patched.share);
  write("estimate", site.estimate);
  write("usual", site.patched.usual);
  write("p", site.patched.p);
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{"patch",
                   "Puts parts of the run of one prompt into the run of another, each by itself, and shows how much of "
                   "the answer each restores: the stream before every layer, what attention and MLP add, at every "
                   "position; and every head. Writes report.html, pictures/, data/ and summary.json.",
                   "--model examples/demo-model --prompt 'err = f(dev); if (err) return' --corrupted 'ret = f(dev); if "
                   "(ret) return' --answer ' err' --instead ' ret' --out patch"};
  app.offer({"--model", "--threads", "--out"});
  std::string prompt, corrupted, answer, instead;
  std::vector<std::string> sites = every_site;
  app.option("--prompt", &prompt, "The clean prompt, after which the model prefers the answer").type("TEXT").required();
  app.option("--corrupted", &corrupted,
             "The same prompt but for the words that decide, with the same number of tokens: parts of the clean run "
             "are put into the run of this one")
      .type("TEXT")
      .required();
  app.option("--answer", &answer,
             "The token that should come next after the clean prompt, as it is written: a space in front counts")
      .type("TOKEN")
      .required();
  app.option("--instead", &instead, "The token that should come next after the corrupted prompt")
      .type("TOKEN")
      .required();
  app.option("--site", &sites,
             "What is put in: resid_pre (the stream before a layer), attn_out, mlp_out, z (a head, at all positions); "
             "several with commas")
      .type("SITE,...")
      .separated_by(',')
      .one_of(every_site)
      .shown();

  return app.run(argc, argv, [&] {
    app.prompts = {prompt, corrupted};
    const corpus input = app.read_input();
    check_prompts(input);
    model<> opt{checkpoint{app.model}, cpu{app.threads}};
    app.report(opt);
    app.check(input, opt.shape());
    const logit_pair pair{.answer = input.words->token(answer), .instead = input.words->token(instead)};
    if (pair.instead == pair.answer) throw program::wrong_usage{"--instead", "is the answer itself"};
    if (input.tokens[0] == input.tokens[1]) throw program::wrong_usage{"--corrupted", "is the prompt itself"};

    constexpr std::uint64_t seed = 1;  // of random tokens
    patching<model<>> task{opt,
                           input.tokens[0],
                           input.tokens[1],
                           pair,
                           {.random_pairs = patching_report::random_pairs,
                            .tokens = std::min(input.words->size(), opt.shape().vocabulary),
                            .seed = seed}};
    patching_report::results all{.model = fs::canonical(app.model).filename().string(),
                                 .ids = input.tokens[0],
                                 .corrupted_ids = input.tokens[1],
                                 .answer = answer,
                                 .instead = instead,
                                 .clean = task.clean_difference(),
                                 .corrupted = task.corrupted_difference(),
                                 .usual = task.usual_difference()};
    for (const token_id id : input.tokens[0]) all.pieces.push_back(input.words->piece(id));
    for (const token_id id : input.tokens[1]) all.corrupted_pieces.push_back(input.words->piece(id));
    all.facts = {{"architecture", describe(opt.shape())},
                 {"prompt", program::shown(prompt)},
                 {"corrupted", program::shown(corrupted)},
                 {"answer, instead", program::shown(answer) + ", " + program::shown(instead)},
                 {"tokens", std::to_string(all.ids.size())}};
    const fs::path data = app.make_folder("data");
    sweep(opt, task, sites, all);
    for (const patching_report::swept_site& site : all.sites) write_data(data, site);
    write_file(app.out / "summary.json",
               patching_report::summary_of(all, app.record(opt, input, {{"random tokens", seed}})));
    patching_report::make_report(all).write(app.out, opt.backend().pool());
    for (const std::string& each : patching_report::findings(all)) std::cout << each << '\n';
    for (const std::string& each : patching_report::limits(all)) std::cout << each << '\n';
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
