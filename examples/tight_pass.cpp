// SPDX-License-Identifier: MIT
// How wide each block is: singular spectra of the Jacobians of attention and MLP, over layers, tokens and texts.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/memory.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/selection.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/plot/spectra_report.hpp>
#include <optscope/similarity/blocks.hpp>
#include <optscope/spectrum.hpp>
#include <set>

#include "support/interruption.hpp"
#include "support/program.hpp"

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

std::string short_name(block_kind block) { return block == block_kind::mlp ? "mlp" : "attn"; }

/// The layers, texts and lengths to be compared.
struct plan {
  std::vector<std::size_t> layers, texts, lengths;  // the layers at texts[0]; the others at layer `at`
  std::size_t at = 0;
  std::vector<block_kind> blocks;
};

plan plan_of(const program::app& app, const corpus& input, const choices& chosen, const architecture& shape) {
  plan result{.layers = app.layers_of(shape.layers),
              .texts = parse_selection(chosen.text, input.tokens.size(), "--text"),
              .lengths = chosen.lengths,
              .at = 0,
              .blocks = {}};
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

/// Spectra that one picture compares.
struct comparison {
  std::string name, title;                          // "layers", "Spectra over the layers"
  std::vector<std::vector<std::size_t>> members{};  // (block, curve): numbers of spectra
  std::vector<std::string> labels{};                // [curve]
  std::vector<plot::rgb> colours{};                 // [curve]
  std::vector<std::size_t> categories{};            // [curve], of texts
  std::vector<plot::row_group> groups{};            // of the curves
};

/// The spectra that a plan asks for, each once, and how they are compared.
std::vector<comparison> compare(const plan& what, const corpus& input, std::size_t length,
                                std::vector<block_request>& requests) {
  const auto add = [&](block_kind block, std::size_t layer, std::size_t text, std::size_t tokens,
                       const std::string& suffix) {
    const block_request next{.block = block,
                             .layer = layer,
                             .text = text,
                             .tokens = tokens,
                             .name = short_name(block) + "-" + std::to_string(layer) + suffix};
    const auto known =
        std::find_if(requests.begin(), requests.end(), [&](const block_request& each) { return each.same_as(next); });
    const auto place = static_cast<std::size_t>(known - requests.begin());
    if (known == requests.end()) requests.push_back(next);
    return place;
  };
  const std::string at = ", layer " + std::to_string(what.at);
  comparison layers{.name = "layers", .title = "Spectra over the layers, " + std::to_string(length) + " tokens"};
  comparison lengths{.name = "lengths", .title = "Spectra over the number of tokens" + at};
  comparison texts{.name = "texts", .title = "Spectra of the texts" + at};
  for (const block_kind block : what.blocks) {
    auto& of_layers = layers.members.emplace_back();
    for (const std::size_t layer : what.layers) of_layers.push_back(add(block, layer, what.texts[0], length, ""));
    auto& of_lengths = lengths.members.emplace_back();
    for (const std::size_t n : what.lengths) {
      of_lengths.push_back(add(block, what.at, what.texts[0], n, "-length-" + std::to_string(n)));
    }
    auto& of_texts = texts.members.emplace_back();
    for (const std::size_t text : what.texts) {
      of_texts.push_back(add(block, what.at, text, length, "-text-" + std::to_string(text)));
    }
  }
  for (std::size_t i = 0; i < what.layers.size(); ++i) {
    layers.labels.push_back("layer " + std::to_string(what.layers[i]));
    layers.colours.push_back(plot::viridis(what.layers.size() < 2 ? 0.4 : double(i) / double(what.layers.size() - 1)));
  }
  for (std::size_t i = 0; i < what.lengths.size(); ++i) {
    lengths.labels.push_back(std::to_string(what.lengths[i]) + " tokens");
    lengths.colours.push_back(plot::hue(i));
  }
  std::map<std::size_t, std::size_t> members, met;
  for (const std::size_t text : what.texts) ++members[input.category_of[text]];
  for (const std::size_t text : what.texts) {
    const std::size_t category = input.category_of[text];
    texts.labels.push_back(input.texts[text].name);
    texts.colours.push_back(plot::shade(category, met[category]++, members[category]));
    texts.categories.push_back(category);
    if (texts.groups.empty() || texts.groups.back().name != input.categories[category])
      texts.groups.push_back({input.categories[category], 0});
    ++texts.groups.back().size;
  }
  std::vector<comparison> all{std::move(layers)};
  if (!lengths.labels.empty()) all.push_back(std::move(lengths));
  if (texts.labels.size() > 1) all.push_back(std::move(texts));
  return all;
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
std::vector<block_spectrum> find_spectra(model<any_opt, double>& opt, const std::vector<block_request>& requests,
                                         const corpus& input, const program::app& app, const choices& chosen) {
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
  const block_analysis<Analyser> analyse{settings};

  // Everything is checked before any work.
  std::vector<block_plan> plans;
  std::size_t disk = 0;
  for (const block_request& each : requests) {
    plans.push_back(analyse.plan(each, hidden));
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
    known.push_back(analyse.load_done(tokens_of(requests[i]), found[i]));
    if (!known[i]) total += plans[i].operations;
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (!known[i]) {
      name = requests[i].name;
      cost = plans[i].operations;
      if (!program::interruption::requested()) {
        found[i] =
            analyse(opt, requests[i], input.tokens[requests[i].text], input.texts[requests[i].text].file.string());
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

plot::spectrum_curve curve_of(const block_spectrum& of, std::size_t hidden, std::string label, plot::rgb colour) {
  const rank_notions ranks = of.ranks(hidden);
  plot::spectrum_curve curve;
  curve.name = std::move(label);
  curve.colour = colour;
  curve.size = of.found.size;
  curve.largest = ranks.largest;
  curve.floor = ranks.floor;
  curve.bound = ranks.bound;
  if (!of.found.density) {
    curve.values = of.found.values;
    return curve;
  }
  const tensor<double, 2> table = density_table(*of.found.density, 200, true);
  for (std::size_t i = 0; i < table.rows(); ++i) {
    curve.thresholds.push_back(table(i, 0));
    curve.counts.push_back(table(i, 1));
    curve.errors.push_back(table(i, 2));
  }
  return curve;
}

plot::width_panel panel_of(block_kind block, const layer_widths& widths) {
  plot::width_panel panel;
  panel.block = title_of(block);
  panel.layers = widths.layers;
  panel.notions = widths.notions;
  panel.tight_pass = widths.narrowest;
  panel.margin = widths.margin;
  panel.inside = widths.inside;
  panel.spread = widths.spread;
  panel.stands_out = widths.stands_out;
  panel.verdict = widths.verdict;
  return panel;
}

/// Overlaps of the leading directions of one comparison, block and side.
struct overlap_result {
  const comparison* compared;
  block_kind block;
  std::string side;
  subspace_overlaps found;
  std::optional<block_summary> categories{};
};

std::vector<overlap_result> find_overlaps(const comparison& compared, const plan& what,
                                          const std::vector<block_spectrum>& spectra) {
  std::vector<overlap_result> results;
  if (compared.name == "lengths" || compared.labels.size() < 2) return results;
  for (std::size_t b = 0; b < what.blocks.size(); ++b) {
    std::vector<const block_spectrum*> members;
    for (const std::size_t i : compared.members[b]) members.push_back(&spectra[i]);
    for (const block_side side : {block_side::writes, block_side::reads}) {
      overlap_result result{.compared = &compared,
                            .block = what.blocks[b],
                            .side = side == block_side::writes ? "writes" : "reads",
                            .found = overlaps_of(members, side)};
      if (result.found.mean.size() == 0) continue;
      if (!compared.categories.empty()) {
        vector_labels labels{.text = {}, .category = compared.categories};
        for (std::size_t i = 0; i < members.size(); ++i) labels.text.push_back(i);
        result.categories = similarity_blocks(std::as_const(result.found.mean).view(), labels);
      }
      results.push_back(std::move(result));
    }
  }
  return results;
}

std::string angles_file(const overlap_result& of) {
  return "angles-" + short_name(of.block) + "-" + of.compared->name + "-" + of.side + ".npy";
}

void write_summary(const plot::spectra_report& report, const std::vector<block_spectrum>& spectra,
                   const std::vector<overlap_result>& overlaps, const corpus& input, std::size_t hidden,
                   const fs::path& path) {
  json_writer json;
  const auto list = [&](const char* key, const auto& values) {
    if (values.empty()) return;
    json.key(key).begin_array();
    for (const auto value : values) json.value(value);
    json.end_array();
  };
  const auto optional = [&](const char* key, const auto& value) {
    json.key(key);
    value ? json.value(*value) : json.value(nullptr);
  };
  json.begin_object().field("model", report.model).key("facts").begin_object();
  for (const auto& [name, value] : report.facts) json.field(name, value);
  json.end_object().key("spectra").begin_array();
  for (const block_spectrum& each : spectra) {
    json.begin_object().field("name", each.of.name).field("block", short_name(each.of.block));
    json.field("layer", each.of.layer).field("text", input.texts[each.of.text].name).field("tokens", each.of.tokens);
    json.field("file", (each.found.density ? "density-" : "spectrum-") + each.of.name + ".npy");
    json.field("analyser", each.found.method).field("reason", each.found.reason);
    json.field("seconds", each.found.seconds).field("bytes", each.found.bytes);
    if (each.residual > 0) json.field("directions_not_converged_residual", each.residual);
    list("active_neurons", each.active);
    list("share_of_input_in_reads", each.share_read);
    list("share_of_output_in_writes", each.share_written);
    write_ranks(json, each, hidden);
    json.end_object();
  }
  json.end_array().key("tight_pass").begin_array();
  for (const plot::width_panel& width : report.widths) {
    json.begin_object().field("block", width.block);
    optional("layer", width.tight_pass);
    json.field("margin", width.margin).field("inside", width.inside);
    optional("spread_over_texts", width.spread);
    optional("stands_out", width.stands_out);
    list("effective_rank_over_bound", width.notions[0].second);
    json.end_object();
  }
  json.end_array().key("directions").begin_array();
  for (const overlap_result& each : overlaps) {
    json.begin_object().field("compared", each.compared->name).field("block", short_name(each.block));
    json.field("side", each.side).field("directions", each.found.angles.extent(2)).field("angles", angles_file(each));
    json.key("overlap").begin_array();
    for (std::size_t row = 0; row < each.found.mean.rows(); ++row) {
      json.begin_array();
      for (const float value : each.found.mean.row(row)) json.value(value);
      json.end_array();
    }
    json.end_array();
    if (each.categories) {
      json.field("within_category", each.categories->within_category);
      json.field("between_categories", each.categories->between_categories).field("p", each.categories->test.p);
    }
    json.end_object();
  }
  json.end_array().end_object();
  write_file(path, json.text() + "\n");
}

/// Report, pictures and summary of what was found.
void publish(const std::vector<block_spectrum>& spectra, const std::vector<comparison>& comparisons,
             const program::app& app, const corpus& input, const choices& chosen, const plan& what,
             const architecture& shape, thread_pool& pool) {
  plot::spectra_report report;
  report.model = fs::canonical(app.model).filename().string();
  report.facts = {{"architecture", describe(shape)},
                  {"tokens", std::to_string(app.length) + ", BOS included"},
                  {"text", input.category_name(what.texts[0]) + " / " + input.texts[what.texts[0]].name},
                  {"analyser", chosen.analyser},
                  {"Jacobian", "LayerNorm inside, residual outside"}};
  const auto members = [&](const comparison& of, std::size_t block) {
    std::vector<const block_spectrum*> result;
    for (const std::size_t i : of.members[block]) result.push_back(&spectra[i]);
    return result;
  };
  const comparison* texts = comparisons.back().name == "texts" ? &comparisons.back() : nullptr;
  std::vector<overlap_result> overlaps;
  for (const comparison& each : comparisons) {
    plot::spectra_set set;
    set.name = each.name;
    set.title = each.title;
    set.shares = each.name == "lengths";
    for (std::size_t b = 0; b < what.blocks.size(); ++b) {
      set.blocks.push_back(title_of(what.blocks[b]));
      auto& curves = set.curves.emplace_back();
      for (std::size_t i = 0; i < each.labels.size(); ++i) {
        curves.push_back(curve_of(spectra[each.members[b][i]], shape.hidden, each.labels[i], each.colours[i]));
      }
    }
    if (each.name == "layers" && each.labels.size() > 1) {
      set.levels = plot::value_range{.low = double(what.layers.front()), .high = double(what.layers.back())};
      for (std::size_t b = 0; b < what.blocks.size(); ++b) {
        const auto of_texts = texts == nullptr ? std::vector<const block_spectrum*>{} : members(*texts, b);
        report.widths.push_back(panel_of(what.blocks[b], widths_over_layers(members(each, b), of_texts, shape.hidden)));
      }
    }
    report.sets.push_back(std::move(set));
    plot::overlap_set pictures{each.name, "Leading directions of the " + each.name, each.labels, each.groups, {}};
    for (overlap_result& result : find_overlaps(each, what, spectra)) {
      pictures.panels.push_back({title_of(result.block) + ", what it " + result.side, result.found.mean});
      write_npy(app.out / angles_file(result), result.found.angles);
      overlaps.push_back(std::move(result));
    }
    report.overlaps.push_back(std::move(pictures));
  }
  for (spectrum_table& each : tables_of(spectra, shape.hidden)) {
    report.tables.push_back({std::move(each.title), std::move(each.columns), std::move(each.rows)});
  }
  report.notes = notes_of(spectra, shape);
  write_summary(report, spectra, overlaps, input, shape.hidden, app.out / "summary.json");
  plot::make_report(report).write(app.out, pool);
}

void add_options(program::app& app, choices& chosen) {
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--threads", "--out"});
  app.option("--block", &chosen.blocks, "attn, mlp or both").one_of({"attn", "mlp"}).separated_by(',').shown();
  app.option("--text", &chosen.text, "The text: its number; or several, such as 0,3 or all, to compare at one layer")
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
    const plan what = plan_of(app, input, chosen, opt.shape());
    app.check(input, opt.shape());
    app.make_folder();
    std::vector<block_request> requests;
    const std::vector<comparison> comparisons = compare(what, input, app.length, requests);
    const program::interruption ctrl_c;
    std::vector<block_spectrum> spectra;
    offered::with(chosen.analyser, [&]<class Analyser>(std::type_identity<Analyser>) {
      spectra = find_spectra<Analyser>(opt, requests, input, app, chosen);
    });
    publish(spectra, comparisons, app, input, chosen, what, opt.shape(), opt.backend().pool());
    app.record(app.out / "summary.json", opt, input);
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
