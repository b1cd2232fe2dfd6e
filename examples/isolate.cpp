// SPDX-License-Identifier: MIT
// Takes out of a model what one category of texts does not need, and shows what the rest then writes.
#include "isolate_report.hpp"

using namespace isolate;

int main(int argc, char** argv) {
  program::app app{
      "isolate",
      "Takes out of a model the neurons and heads that one category of texts does not need, and continues prompts of "
      "all categories with what is left. Writes report.html, edits.json, model/, pictures/, "
      "scores.tsv, continuations.json and summary.json.",
      "--model examples/demo-model --texts examples/texts --texts examples/verse --keep code --out only-code"};
  app.offer({"--model", "--texts", "--threads", "--out"});
  settings how;
  app.cli.add_option("--keep", how.keep, "The category to keep")->required()->type_name("CATEGORY");
  app.cli.add_option("--by", how.by, "Score by which units go")->check(CLI::IsMember(scores))->capture_default_str();
  app.cli.add_option("--replace", how.with, "What stands in the place of a removed neuron")
      ->check(CLI::IsMember(replacements))
      ->capture_default_str();
  app.cli.add_option("--units", how.units, "What may go")
      ->check(CLI::IsMember({"neurons", "heads", "both"}))
      ->capture_default_str();
  app.cli.add_option("--keep-layers", how.keep_layers, "Layers that stay whole")->type_name("SPEC");
  app.cli.add_option("--scoring-tokens", how.scoring, "Tokens of each category to compute scores from, at most")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli
      .add_option("--written", how.written,
                  "As many tokens of each category that the model itself writes from its prompts, to compute scores "
                  "from beside the texts")
      ->capture_default_str();
  app.cli.add_option("--share", how.share, "Share of the units to remove: no curves and no search for the smallest")
      ->check(CLI::Range(0.0, 1.0));
  app.cli.add_option("--shares", how.shares, "Points of a curve")->check(program::not_positive)->capture_default_str();
  app.cli.add_option("--prompts", how.prompts, "Prompts of each category")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli.add_option("--new", how.new_tokens, "Tokens that a prompt is continued by")
      ->check(program::not_positive)
      ->capture_default_str();

  return app.run(argc, argv, [&] {
    const tokenizer words{app.model};
    halves texts = read_halves(app, words, how);
    const auto place = std::find(texts.categories.begin(), texts.categories.end(), how.keep);
    if (place == texts.categories.end()) {
      std::string names;
      for (const std::string& name : texts.categories) names += (names.empty() ? "" : ", ") + name;
      throw bad_input{"", "--keep", "one of " + names, how.keep};
    }
    const auto kept = static_cast<std::size_t>(place - texts.categories.begin());
    pruned_model opt{checkpoint{app.model}, blas{app.threads}};
    app.report(opt);
    app.make_folder("pictures");

    std::vector<std::size_t> layers;
    const std::vector<std::size_t> whole = how.keep_layers.empty()
                                               ? std::vector<std::size_t>{}
                                               : parse_selection(how.keep_layers, opt.layers(), "--keep-layers");
    for (std::size_t layer = 0; layer < opt.layers(); ++layer) {
      if (std::find(whole.begin(), whole.end(), layer) == whole.end()) layers.push_back(layer);
    }
    if (layers.empty()) throw bad_input{"", "--keep-layers", "a layer that may be touched", "none"};
    std::vector<unit_kind> kinds;
    if (how.units != "heads") kinds.push_back(unit_kind::neuron);
    if (how.units != "neurons") kinds.push_back(unit_kind::head);

    how.prompt_tokens = std::min(how.prompt_tokens, opt.shape().max_positions / 2);
    how.new_tokens = std::min(how.new_tokens, opt.shape().max_positions - how.prompt_tokens - 1);
    if (how.written != 0) write_more(opt, texts, words, how);
    const judge decide{texts.training, 3 * how.new_tokens};
    const activity active = sum_up(opt, texts.scoring, words.bos());
    isolation<pruned_model> bench{opt, decide};
    bench.categories = texts.categories.size();
    bench.wanted.count = how.new_tokens;
    bench.wanted.tokens = words.size();
    bench.wanted.banned.resize(words.size());
    for (const token_id special : opt.files().configuration().eos_token_ids) {
      if (static_cast<std::size_t>(special) < words.size())
        bench.wanted.banned[static_cast<std::size_t>(special)] = true;
    }
    bench.decode = [&](const token_list& ids) { return words.decode(ids); };
    bench.prompts =
        draw_prompts(texts.measured, bos_of(words), ends_in_space(words), how.prompts, how.prompt_tokens, 1);
    for (std::size_t c = 0; c < bench.categories; ++c) {
      std::size_t taken = 0;
      for (const token_list& text : texts.measured[c]) {
        for (window& w : windows_of(text, std::min<std::size_t>(256, opt.shape().max_positions), words.bos())) {
          if (taken >= how.held_back || w.tokens.size() < 2) break;
          taken += w.tokens.size();
          bench.held_back.add(std::move(w.tokens), c);
        }
      }
    }
    const labelled_texts others =
        draw_prompts(texts.measured, bos_of(words), ends_in_space(words), how.prompts, how.prompt_tokens, 2);
    std::optional<loss_attribution> loss;
    if (needs_gradients(how.by)) loss = attribute(opt, texts.scoring, words.bos(), program::progress{"gradients"});
    const scored_texts scored{active.sums, active.groups, loss ? &*loss : nullptr};
    reported_study s{{how, words, opt, texts, active, scored, bench, others, layers, kinds, {}, {}, {}, 0}};
    s.run(kept);
    s.write(app, kept);
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
