// SPDX-License-Identifier: MIT
// Takes out of a model what one category of texts does not need, and shows what the rest then writes.
#include "isolate_report.hpp"

using namespace isolate;

int main(int argc, char** argv) {
  program::app app{
      "isolate",
      "Takes out of a model the neurons and heads, or the directions of the stream, that one category of texts does "
      "not need, and continues prompts of all categories with what is left. Writes report.html, edits.json, model/, "
      "pictures/, scores.tsv, continuations.json and summary.json.",
      "--model examples/demo-model --texts examples/texts --texts examples/more-texts --keep code --out only-code"};
  app.offer({"--model", "--texts", "--threads", "--out"});
  settings how;
  app.cli.add_option("--keep", how.keep, "The category to keep")->required()->type_name("CATEGORY");
  auto* by = app.cli.add_option("--by", how.by, "Score by which neurons and heads go")
                 ->check(CLI::IsMember(scores))
                 ->capture_default_str();
  auto* rounds =
      app.cli
          .add_option("--rounds", how.rounds,
                      "Times that scores are computed, each time with the units taken out that go first; not of mask, "
                      "ablation and attributions")
          ->check(program::not_positive)
          ->capture_default_str();
  auto* replace = app.cli.add_option("--replace", how.with, "What stands in the place of a removed neuron or head")
                      ->check(CLI::IsMember(replacements))
                      ->capture_default_str();
  app.cli
      .add_option("--units", how.units,
                  "What may go; directions of the stream into a layer stand at the kept category's mean then, in the "
                  "order of how far other categories lie from it beside its own spread")
      ->check(CLI::IsMember({"neurons", "heads", "both", "directions"}))
      ->capture_default_str();
  app.cli.add_option("--keep-layers", how.keep_layers, "Layers that stay whole")->type_name("SPEC");
  auto* even = app.cli.add_flag(
      "--even", how.even,
      "As many neurons from every layer that may be touched: transformers reads the smaller checkpoint, model/, if "
      "that is every layer");
  app.cli.add_option("--scoring-tokens", how.scoring, "Tokens of each category to compute scores from, at most")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli
      .add_option("--written", how.written,
                  "As many tokens of each category that the model itself writes from its prompts, to compute scores "
                  "from beside the texts; 16384 for mask, else none if not given")
      ->type_name("N");
  app.cli.add_option("--share", how.share, "Share of the units to remove: no curves and no search for the smallest")
      ->check(CLI::Range(0.0, 1.0));
  app.cli.add_flag("--alone", how.alone, "This category alone, not all in turn");
  app.cli.add_flag(
      "--no-curves", how.no_curves,
      "No curves and no comparison of sets: --share of the units goes, or, by mask, what --mask-cost allows");
  app.cli.add_option("--mask-steps", how.mask.steps, "mask: steps of learning")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli
      .add_option("--mask-cost", how.mask.cost,
                  "mask: nats a token that the kept category may lose, in the texts that the mask is learned from")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.cli
      .add_option("--mask-behind", how.mask.behind,
                  "mask: weight of the kept category's loss behind other beginnings, beside that of turning them")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  app.cli
      .add_option("--ablation-tokens", how.ablation_tokens, "Tokens of each category whose loss --by ablation measures")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli.add_option("--hours", how.hours, "How long --by ablation may take; more is refused")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.cli
      .add_option("--shares", how.shares,
                  "Points of a curve, of all prompts; if not given 20, or as many as --minutes allow")
      ->check(program::not_positive)
      ->type_name("N");
  app.cli
      .add_option("--minutes", how.minutes,
                  "About how long all removals may take: on a large model curves are of fewer prompts and tokens, at "
                  "least a quarter, then of fewer points, at least 4")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  app.cli
      .add_option("--prompts", how.prompts, "Prompts of each category on curves; three times as many others in the end")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli.add_option("--new", how.new_tokens, "Tokens that a prompt is continued by")
      ->check(program::not_positive)
      ->capture_default_str();

  return app.run(argc, argv, [&] {
    for (const CLI::Option* other : {by, rounds, replace, even}) {
      if (how.directions() && other->count() != 0)
        throw CLI::ValidationError{other->get_name(), "is of neurons and heads, not of directions"};
    }
    if (how.directions()) {
      how.by = "spread of others over own";
      how.with = "kept-mean";
    }
    if (how.no_curves && !how.share && how.by != "mask")
      throw CLI::RequiredError{"--share, without curves and with a score other than mask,"};
    if (how.rounds > 1 && (needs_gradients(how.by) || how.by == "mask" || how.by == "ablation"))
      throw CLI::ValidationError{"--rounds", "scores by " + how.by + " are computed once"};
    const tokenizer words{app.model};
    halves texts = read_halves(app, words, how);
    const auto place = std::find(texts.categories.begin(), texts.categories.end(), how.keep);
    if (place == texts.categories.end()) {
      std::string names;
      for (const std::string& name : texts.categories) names += (names.empty() ? "" : ", ") + name;
      throw bad_input{"", "--keep", "one of " + names, how.keep};
    }
    const auto kept = static_cast<std::size_t>(place - texts.categories.begin());
    pruned_model opt{checkpoint{app.model}, cpu{app.threads}};
    app.report(opt);
    require_even_layers(opt.files(), "to take units out");
    app.make_folder();

    std::vector<std::size_t> layers;
    const std::vector<std::size_t> whole = how.keep_layers.empty()
                                               ? std::vector<std::size_t>{}
                                               : parse_selection(how.keep_layers, opt.layers(), "--keep-layers");
    for (std::size_t layer = how.directions() ? 1 : 0; layer < opt.layers(); ++layer) {  // into 0 goes the embedding
      if (std::find(whole.begin(), whole.end(), layer) == whole.end()) layers.push_back(layer);
    }
    if (layers.empty()) throw bad_input{"", "--keep-layers", "a layer that may be touched", "none"};
    std::vector<unit_kind> kinds;
    if (how.units == "neurons" || how.units == "both") kinds.push_back(unit_kind::neuron);
    if (how.units == "heads" || how.units == "both") kinds.push_back(unit_kind::head);
    if (how.directions()) kinds.push_back(unit_kind::direction);

    how.prompt_tokens = std::min(how.prompt_tokens, opt.shape().max_positions / 2);
    how.new_tokens = std::min(how.new_tokens, opt.shape().max_positions - how.prompt_tokens - 1);
    const std::size_t written = how.written.value_or(how.by == "mask" ? 16384 : 0);
    side_by_side<pruned_model> copies{opt};
    if (written != 0) write_more(copies, texts, words, how, written);
    const judge decide{texts.training};
    const std::vector<std::vector<token_list>> none(texts.categories.size());  // directions have moments of their own
    const activity active = sum_up(opt, how.directions() ? none : texts.scored(), words.bos());
    isolation<pruned_model> bench{opt, copies, decide};
    bench.categories = texts.categories.size();
    bench.wanted.new_tokens = how.new_tokens;
    bench.wanted.tokens = words.size();
    for (const token_id special : opt.files().configuration().eos_token_ids) {
      const auto id = static_cast<std::size_t>(special);
      if (id >= words.size()) continue;
      bench.wanted.banned.resize(std::max(bench.wanted.banned.size(), id + 1));
      bench.wanted.banned[id] = true;
    }
    bench.decode = [&](const token_list& ids) { return words.decode(ids); };
    const auto drawn = [&](std::size_t held_back, std::size_t prompts, std::uint64_t seed) {
      return draw_measured(texts, words, how, opt.shape().max_positions, held_back, prompts, seed);
    };
    measured_texts on_curves = drawn(how.held_back, how.prompts, 1);
    bench.held_back = std::move(on_curves.held_back);
    bench.prompts = std::move(on_curves.prompts);
    const measured_texts finally = drawn(8 * how.held_back, 3 * how.prompts, 2);
    std::optional<loss_attribution> loss;
    if (needs_gradients(how.by)) loss = attribute(opt, texts.scored(), words.bos(), program::progress{"gradients"});
    std::optional<ablation_effects> ablated;
    if (how.by == "ablation") ablated = ablate_all(opt, texts, words, how);
    const scored_texts scored{.sums = active.sums,
                              .texts = active.groups,
                              .loss = loss ? &*loss : nullptr,
                              .heads = &active.heads,
                              .ablation = ablated ? &*ablated : nullptr};
    reported_study s{{{how, words, opt, texts, active, scored, layers, kinds}, bench, finally}};
    s.run(kept);
    s.write(app, kept);
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
