// SPDX-License-Identifier: MIT
// How wide each block is: singular spectra of the Jacobians of attention and MLP, over layers, tokens and texts.
#include "spectra_results.hpp"

using namespace optscope;
using namespace spectra;

namespace {

/// The layers, texts and lengths to be compared.
struct plan {
  std::vector<std::size_t> layers, texts, lengths;  // the layers at texts[0]; the others at layer `at`
  std::size_t at = 0;
};

plan plan_of(const program::app& app, const corpus& input, const choices& chosen, const architecture& shape) {
  plan result{app.layers_of(shape.layers), parse_selection(chosen.text, input.tokens.size(), "--text"), chosen.lengths};
  result.at =
      chosen.at.empty() ? result.layers[result.layers.size() / 2] : parse_selection(chosen.at, shape.layers, "--at")[0];
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

/// The jobs of a plan, and how they are compared.
std::vector<comparison> compare(const plan& what, const choices& chosen, const corpus& input, std::size_t length,
                                analysis& work) {
  std::vector<comparison> all(3);
  comparison &layers = all[0], &lengths = all[1], &texts = all[2];
  const std::string at = ", layer " + std::to_string(what.at);
  layers.name = "layers";
  layers.title = "Spectra over the layers, " + std::to_string(length) + " tokens";
  lengths.name = "lengths";
  lengths.title = "Spectra over the number of tokens" + at;
  texts.name = "texts";
  texts.title = "Spectra of the texts" + at;
  for (const std::string& block : chosen.blocks) {
    auto& of_layers = layers.jobs.emplace_back();
    for (const std::size_t layer : what.layers) of_layers.push_back(work.add(block, layer, what.texts[0], length));
    auto& of_lengths = lengths.jobs.emplace_back();
    for (const std::size_t n : what.lengths) {
      of_lengths.push_back(work.add(block, what.at, what.texts[0], n, "-length-" + std::to_string(n)));
    }
    auto& of_texts = texts.jobs.emplace_back();
    for (const std::size_t text : what.texts) {
      of_texts.push_back(work.add(block, what.at, text, length, "-text-" + std::to_string(text)));
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
  std::map<std::size_t, std::size_t> members;
  for (const std::size_t text : what.texts) ++members[input.category_of[text]];
  std::map<std::size_t, std::size_t> met;
  for (const std::size_t text : what.texts) {
    const std::size_t category = input.category_of[text];
    texts.labels.push_back(input.texts[text].name);
    texts.colours.push_back(plot::shade(category, met[category]++, members[category]));
    texts.categories.push_back(category);
    if (texts.groups.empty() || texts.groups.back().name != input.categories[category])
      texts.groups.push_back({input.categories[category], 0});
    ++texts.groups.back().size;
  }
  std::erase_if(all, [](const comparison& each) {
    return each.labels.empty() || (each.name == "texts" && each.labels.size() < 2);
  });
  return all;
}

void write_summary(const plot::spectra_report& report, const std::vector<comparison>& comparisons,
                   const std::vector<job>& jobs, const std::vector<rank_notions>& ranks,
                   const std::vector<std::vector<overlap_of>>& overlaps, const corpus& input, const fs::path& path) {
  json_writer json;
  json.begin_object().field("model", report.model).key("facts").begin_object();
  for (const auto& [name, value] : report.facts) json.field(name, value);
  json.end_object().key("spectra").begin_array();
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const job& each = jobs[i];
    const bool sampled = each.found.density.has_value();
    json.begin_object().field("name", each.name).field("block", each.block).field("layer", each.layer);
    json.field("text", input.texts[each.text].name).field("tokens", each.length);
    json.field("file", (sampled ? "density-" : "spectrum-") + each.name + ".npy");
    json.field("analyser", each.found.method).field("reason", each.found.reason);
    json.field("seconds", each.found.seconds).field("bytes", each.found.bytes);
    const auto by_token = [&](const char* key, const auto& values) {
      if (values.empty()) return;
      json.key(key).begin_array();
      for (const auto value : values) json.value(value);
      json.end_array();
    };
    if (each.residual > 0) json.field("directions_not_converged_residual", each.residual);
    by_token("active_neurons", each.active);
    by_token("share_of_input_in_reads", each.share_read);
    by_token("share_of_output_in_writes", each.share_written);
    write_ranks(json, each, ranks[i]);
    json.end_object();
  }
  json.end_array().key("tight_pass").begin_array();
  for (const plot::width_panel& width : report.widths) {
    json.begin_object().field("block", width.block).key("layer");
    width.tight_pass ? json.value(*width.tight_pass) : json.value(nullptr);
    json.field("margin", width.margin).field("inside", width.inside).key("spread_over_texts");
    width.spread ? json.value(*width.spread) : json.value(nullptr);
    json.key("stands_out");
    width.stands_out ? json.value(*width.stands_out) : json.value(nullptr);
    json.key("effective_rank_over_bound").begin_array();
    for (const double share : width.notions[0].second) json.value(share);
    json.end_array().end_object();
  }
  json.end_array().key("directions").begin_array();
  for (std::size_t i = 0; i < comparisons.size(); ++i) {
    for (const overlap_of& each : overlaps[i]) {
      json.begin_object().field("compared", comparisons[i].name).field("block", each.block).field("side", each.side);
      json.field("directions", each.angles.extent(2));
      json.field("angles", "angles-" + each.block + "-" + comparisons[i].name + "-" + each.side + ".npy");
      json.key("overlap").begin_array();
      for (std::size_t row = 0; row < each.mean.rows(); ++row) {
        json.begin_array();
        for (const float value : each.mean.row(row)) json.value(value);
        json.end_array();
      }
      json.end_array();
      if (each.categories) {
        json.field("within_category", each.categories->within_category);
        json.field("between_categories", each.categories->between_categories).field("p", each.categories->p);
      }
      json.end_object();
    }
  }
  json.end_array().end_object();
  write_file(path, json.text() + "\n");
}

/// Report, pictures and summary of what was found.
void publish(const analysis& work, const std::vector<comparison>& comparisons, const program::app& app,
             const corpus& input, const choices& chosen, const plan& what, const architecture& shape,
             thread_pool& pool) {
  std::vector<rank_notions> ranks;
  for (const job& each : work.jobs) ranks.push_back(spectra::ranks_of(each, shape));
  plot::spectra_report report;
  report.model = fs::canonical(app.model).filename().string();
  const std::string text = input.category_name(what.texts[0]) + " / " + input.texts[what.texts[0]].name;
  report.facts = {{"architecture", describe(shape)},
                  {"tokens", std::to_string(app.length) + ", BOS included"},
                  {"text", text},
                  {"analyser", chosen.analyser},
                  {"Jacobian", "LayerNorm inside, residual outside"}};
  std::vector<std::vector<overlap_of>> overlaps;
  const comparison* texts = nullptr;
  for (const comparison& each : comparisons) texts = each.name == "texts" ? &each : texts;
  for (const comparison& each : comparisons) {
    report.sets.push_back(set_of(each, work.jobs, ranks, chosen.blocks));
    if (each.name == "layers" && each.labels.size() > 1) {
      report.sets.back().levels =
          plot::value_range{.low = double(what.layers.front()), .high = double(what.layers.back())};
      for (std::size_t block = 0; block < chosen.blocks.size(); ++block)
        report.widths.push_back(width_of(each, texts, block, chosen.blocks[block], work.jobs, ranks));
    }
    plot::overlap_set set{each.name, "Leading directions of the " + each.name, each.labels, each.groups, {}};
    overlaps.push_back(each.name == "lengths" ? std::vector<overlap_of>{}
                                              : overlaps_of(each, work.jobs, chosen.blocks));
    for (const overlap_of& found : overlaps.back()) {
      set.panels.push_back({title_of(found.block) + ", what it " + found.side, found.mean});
      write_npy(app.out / ("angles-" + found.block + "-" + each.name + "-" + found.side + ".npy"), found.angles);
    }
    report.overlaps.push_back(std::move(set));
  }
  report.tables = tables_of(work.jobs, ranks, shape.hidden);
  report.notes = notes_of(work.jobs, shape);
  write_summary(report, comparisons, work.jobs, ranks, overlaps, input, app.out / "summary.json");
  plot::make_report(report).write(app.out, pool);
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{
      "tight_pass",
      "Singular spectra of the Jacobians of attention and MLP blocks, layer by layer: ranks, width, leading "
      "directions. Writes spectrum-BLOCK-LAYER.npy, pictures/, report.html and summary.json. Ctrl-C stops; "
      "the same command goes on.",
      "--model examples/demo-model --texts examples/texts --out tight-pass"};
  choices chosen;
  chosen.analysis.steps = 400;  // for counts down to 1e-2 of the largest
  chosen.analysis.probes = 2;
  app.length = 34;
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--threads", "--out"});
  app.cli.add_option("--block", chosen.blocks, "attn, mlp or both")
      ->check(CLI::IsMember({"attn", "mlp"}))
      ->delimiter(',')
      ->capture_default_str();
  app.cli.add_option("--text", chosen.text, "The text: its number, or several (0,3 or all), compared at one layer")
      ->type_name("SPEC")
      ->capture_default_str();
  app.cli.add_option("--lengths", chosen.lengths, "Numbers of tokens to compare at one layer, such as 2,8,34,128,768")
      ->delimiter(',')
      ->check(program::not_positive);
  app.cli.add_option("--at", chosen.at, "That layer; the middle one if not given")->type_name("N");
  app.cli.add_option("--analyser", chosen.analyser, "How the values are found; automatic says what it picks")
      ->check(CLI::IsMember(analysers))
      ->capture_default_str();
  app.cli.add_option("--minutes", chosen.analysis.minutes, "automatic: what one spectrum may take")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.cli.add_option("--memory", chosen.memory_gb, "GB that one spectrum may take; what is free if not given")
      ->check(CLI::PositiveNumber);
  app.cli.add_option("--steps", chosen.analysis.steps, "quadrature: nothing below 0.35 / N of the largest is resolved")
      ->check(program::not_positive)
      ->type_name("N")
      ->capture_default_str();
  app.cli.add_option("--probes", chosen.analysis.probes, "quadrature: random vectors")
      ->check(program::not_positive)
      ->type_name("N")
      ->capture_default_str();
  app.cli.add_option("--directions", chosen.directions, "Leading directions to compare; 0: none")
      ->capture_default_str();

  return app.run(argc, argv, [&] {
    std::sort(chosen.blocks.begin(), chosen.blocks.end());  // attention on the left
    chosen.blocks.erase(std::unique(chosen.blocks.begin(), chosen.blocks.end()), chosen.blocks.end());
    const std::size_t length = app.length;
    for (const std::size_t n : chosen.lengths) app.length = std::max(app.length, n);
    const corpus input = app.read_input();
    app.length = length;
    model<any_opt, double> opt{checkpoint{app.model}, cpu{app.threads}};
    app.report(opt);
    const plan what = plan_of(app, input, chosen, opt.shape());
    app.check(input, opt.shape());
    app.make_folder();
    analysis work{app, input, opt, chosen};
    const std::vector<comparison> comparisons = compare(what, chosen, input, app.length, work);
    stop_on_signals();
    try {
      work.run();
    } catch (const stopped&) {
      throw error{"stopped; the same command goes on from here"};
    }
    publish(work, comparisons, app, input, chosen, what, opt.shape(), opt.backend().pool());
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
