// SPDX-License-Identifier: MIT
// How wide each block is: singular spectra of the Jacobians of attention and MLP, over layers, tokens and texts.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <optscope/core/memory.hpp>
#include <optscope/core/selection.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/spectrum.hpp>
#include <set>

#include "support/interruption.hpp"
#include "support/program.hpp"
#include "tight_pass_report.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

// What --analyser offers: to add one, add its type.
using offered = analyser_list<automatic, exact, gram, lanczos_quadrature>;

struct choices {
  std::vector<std::string> blocks{"attn", "mlp"};
  std::string text = "0", analyser = "automatic";
  std::string at;  // layer
  std::vector<std::size_t> lengths;
  std::size_t directions = 8;
  double memory_gb = 0;
  automatic_settings analysis;
};

/// The layers, texts and lengths to be compared.
spectra_plan plan_of(const program::app& app, const corpus& input, const choices& chosen, const architecture& shape) {
  spectra_plan result{.layers = app.layers_of(shape.layers),
                      .texts = parse_selection(chosen.text, input.tokens.size(), "--text"),
                      .lengths = chosen.lengths,
                      .tokens = app.length};
  result.at =
      chosen.at.empty() ? result.layers[result.layers.size() / 2] : parse_selection(chosen.at, shape.layers, "--at")[0];
  const auto asked_for = [&](const char* block) {
    return std::find(chosen.blocks.begin(), chosen.blocks.end(), block) != chosen.blocks.end();
  };
  if (asked_for("attn")) result.blocks.push_back(block_kind::attention);
  if (asked_for("mlp")) result.blocks.push_back(block_kind::mlp);
  std::sort(result.lengths.begin(), result.lengths.end());
  result.lengths.erase(std::unique(result.lengths.begin(), result.lengths.end()), result.lengths.end());
  std::size_t longest = app.length;
  for (const std::size_t length : result.lengths) longest = std::max(longest, length);
  if (longest > shape.max_positions) {
    throw bad_input{"", app.length == longest ? "--length" : "--lengths",
                    "at most " + std::to_string(shape.max_positions) + " tokens, the context of the model",
                    std::to_string(longest) + ", " + std::to_string(longest - shape.max_positions) + " too many"};
  }
  for (const std::size_t text : result.texts) input.require_tokens(text, app.length);
  input.require_tokens(result.texts[0], longest);
  return result;
}

/// What results depend on besides the request: the analyser and the model's files.
std::string description_of(const program::app& app, const choices& chosen, const model<any_opt, double>& opt) {
  std::string text = "analyser " + chosen.analyser + "\n";
  std::vector<fs::path> files = opt.files().files();
  files.push_back(app.model / "config.json");
  for (const fs::path& file : files) {
    text += file.filename().string() + " " + std::to_string(fs::file_size(file)) + " bytes of " +
            std::to_string(fs::last_write_time(file).time_since_epoch().count()) + "\n";
  }
  return text;
}

/// `spectrum-NAME.npy`, or `density-NAME.npy` of a sampled one; and a line for the user.
void write(const block_spectrum& each, const fs::path& out) {
  if (each.found.density) {
    write_npy(out / ("density-" + each.of.name + ".npy"), density_table(*each.found.density, 200));
  } else {
    const std::vector<double>& values = each.found.values;
    write_npy(out / ("spectrum-" + each.of.name + ".npy"),
              tensor_view<const double, 1>{values.data(), {values.size()}});
  }
  std::cout << each.of.name << ": " << each.found.size << " values by " << each.found.method << " ("
            << each.found.reason << "), " << std::round(10 * each.found.seconds) / 10 << " s\n"
            << std::flush;
}

/// "42 %, attn-5, dense to band, 12 s left".
std::string progress_text(const std::string& name, std::string_view stage, double share, double seconds) {
  std::string text = std::to_string(static_cast<int>(100 * share)) + " %, " + name + ", " + std::string{stage};
  if (share > 0.01 && seconds > 1) {
    const auto left = static_cast<long>(seconds / share * (1 - share)) + 1;
    text += ", " + (left < 100 ? std::to_string(left) + " s" : std::to_string((left + 59) / 60) + " min") + " left";
  }
  return text;
}

/// Finds all spectra; those that an earlier run has found are read. Throws if Ctrl-C was pressed.
template <class Analyser>
std::vector<block_spectrum> find_spectra(model<any_opt, double>& opt, const planned_spectra& wanted,
                                         const corpus& input, const program::app& app, const choices& chosen) {
  const std::vector<block_request>& requests = wanted.requests;
  const std::size_t hidden = opt.shape().hidden;
  const auto start = std::chrono::steady_clock::now();
  program::progress line{"tight_pass:"};
  double total = 0, done = 0, cost = 0;  // operations; `cost` of the spectrum under way
  std::string name;
  block_settings settings{.analysis = chosen.analysis,
                          .directions = chosen.directions,
                          .folder = (app.out / "state").string(),
                          .description = description_of(app, chosen, opt)};
  settings.analysis.progress = [&](const analysis_progress& now) {
    line.show([&] {
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
      return progress_text(name, now.stage, total > 0 ? (done + cost * now.fraction) / total : 1, passed.count());
    });
    return !program::interruption::requested();
  };
  settings.warn = [&, said = std::set<std::string>{}](const std::string& what) mutable {
    if (said.insert(what).second) std::fprintf(stderr, "tight_pass: %s\n", what.c_str());
  };
  const block_analysis<Analyser> with_directions{settings};
  settings.directions = 0;
  const block_analysis<Analyser> without{settings};
  const auto analysis_of = [&](std::size_t request) -> const block_analysis<Analyser>& {
    return wanted.compared(request) ? with_directions : without;
  };

  // Everything is checked before any work.
  std::vector<block_plan> plans;
  std::size_t disk = 0;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    plans.push_back(analysis_of(i).plan(requests[i], hidden));
    disk = std::max(disk, plans.back().state_bytes);
  }
  const fs::path folder = app.make_folder("state");
  if (const auto space = fs::space(folder).available; space < disk) {
    throw write_error{folder.string() + ": expected " + memory_text(disk) +
                      " free for the state of a run that is stopped, found " + memory_text(space)};
  }
  const auto tokens_of = [&](const block_request& of) {
    const token_list& whole = input.tokens[of.text];
    return token_list{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(of.tokens)};
  };
  std::vector<block_spectrum> found(requests.size());
  std::vector<bool> known;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    found[i].of = requests[i];
    known.push_back(analysis_of(i).load_done(tokens_of(requests[i]), found[i]));
    if (!known[i]) total += plans[i].operations;
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (!known[i]) {
      name = requests[i].name;
      cost = plans[i].operations;
      if (!program::interruption::requested()) {
        const std::size_t text = requests[i].text;
        found[i] = analysis_of(i)(opt, requests[i], input.tokens[text], input.texts[text].file.string());
      }
      if (program::interruption::requested() || found[i].found.outcome == spectrum_outcome::stopped)
        throw error{"stopped; run the same command again to resume"};
      if (found[i].found.outcome != spectrum_outcome::complete) {
        throw error{name + ": no spectrum: " + found[i].found.note + "; what is done stays in " + folder.string()};
      }
      done += cost;
    }
    if (found[i].found.reason.empty()) found[i].found.reason = "asked for";
    line.clear();
    write(found[i], app.out);
  }
  return found;
}

void add_options(program::app& app, choices& chosen) {
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--threads", "--out"});
  app.option("--block", &chosen.blocks, "attn, mlp or both").one_of({"attn", "mlp"}).separated_by(',').shown();
  app.option("--text", &chosen.text,
             "The text: its number; or several, such as 0,3 or all. With three or more, which must be independent "
             "documents, the widths of the layers are compared over the texts; all layers are analysed at each of them")
      .type("SPEC")
      .shown();
  app.option("--lengths", &chosen.lengths, "Numbers of tokens to compare at one layer, such as 2,8,34,128,768")
      .separated_by(',')
      .check(program::not_positive);
  app.option("--at", &chosen.at, "The layer at which texts and lengths are compared; default: the middle one")
      .type("N");
  std::string help = "How the values are found. ";
  std::vector<std::string> names;
  for (const auto& each : offered::names()) {
    help += (names.empty() ? "" : "; ") + each.name + ": " + each.help;
    names.push_back(each.name);
  }
  app.option("--analyser", &chosen.analyser, help).one_of(names).shown();
  app.option("--minutes", &chosen.analysis.minutes, "automatic: how long all values of one spectrum may take")
      .check(program::not_above_zero)
      .shown();
  app.option("--memory", &chosen.memory_gb, "Memory in GB that one spectrum may take; default: what is free")
      .check(program::not_above_zero);
  app.option("--steps", &chosen.analysis.steps,
             "quadrature: number of steps; nothing below 0.35 / steps of the largest value is resolved")
      .check(program::not_positive)
      .type("N")
      .shown();
  app.option("--probes", &chosen.analysis.probes, "quadrature: number of random vectors")
      .check(program::not_positive)
      .type("N")
      .shown();
  app.option("--directions", &chosen.directions, "Number of leading directions to compare; 0: none").shown();
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{
      "tight_pass",
      "Singular spectra of the Jacobians of attention and MLP blocks, layer by layer: ranks, width, leading "
      "directions. Writes spectrum-BLOCK-LAYER.npy, pictures/, report.html and summary.json. Ctrl-C stops "
      "the program; the same command resumes.",
      "--model examples/demo-model --texts examples/texts --out tight-pass"};
  choices chosen;
  chosen.analysis.steps = 400;  // for counts down to 1e-2 of the largest
  chosen.analysis.probes = 2;
  app.length = 34;
  add_options(app, chosen);

  return app.run(argc, argv, [&] {
    chosen.analysis.threads = app.threads;
    chosen.analysis.memory = static_cast<std::size_t>(chosen.memory_gb * 1e9);
    if (chosen.analysis.memory == 0) chosen.analysis.memory = available_memory();
    const std::size_t length = app.length;
    for (const std::size_t n : chosen.lengths) app.length = std::max(app.length, n);
    const corpus input = app.read_input();
    app.length = length;
    model<any_opt, double> opt{checkpoint{app.model}, cpu{app.threads}};
    app.report(opt);
    const spectra_plan plan = plan_of(app, input, chosen, opt.shape());
    app.check(input, opt.shape());
    app.make_folder();
    tight_pass_report::findings found{.plan = plan,
                                      .members = spectra_of(plan),
                                      .model = fs::canonical(app.model).filename().string(),
                                      .analyser = chosen.analyser};
    const program::interruption ctrl_c;
    offered::with(chosen.analyser, [&]<class Analyser>(std::type_identity<Analyser>) {
      found.spectra = find_spectra<Analyser>(opt, found.members, input, app, chosen);
    });
    found.run = app.record(opt, input, {{"random vectors", chosen.analysis.seed}});
    tight_pass_report::write(found, input, opt.shape(), app.out, opt.backend().pool());
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
