// SPDX-License-Identifier: MIT
// Which layers, heads, MLPs and neurons are more or less active for which category of texts.
#include <optional>
#include <optscope/checkpoint/fingerprint.hpp>

#include "light_up_report.hpp"

using namespace light_up;

int main(int argc, char** argv) {
  program::app app{
      "light_up",
      "Finds the layers, heads, MLPs and neurons that are more or less active for a category of texts than "
      "for the others. Writes report.html, units.tsv, pictures/ and summary.json. Ctrl-C stops it; the same "
      "command goes on.",
      "--model examples/demo-model --texts examples/texts --texts examples/more-texts --out light-up"};
  app.offer({"--model", "--texts", "--threads", "--out"});
  settings how;
  std::map<std::string, unit_statistic> statistics;
  for (const unit_statistic each : all_unit_statistics) statistics[std::string{name_of(each)}] = each;
  std::string by{name_of(how.by)};
  app.cli.add_option("--by", by, "What is compared of a neuron")
      ->check(CLI::IsMember(statistics))
      ->capture_default_str();
  app.cli.add_option("--top", how.top, "Neurons of each category whose tokens are shown")
      ->check(program::not_positive)
      ->capture_default_str();
  app.cli.add_option("--look", how.look_tokens, "Tokens of each category in which they are looked for")
      ->check(program::not_positive)
      ->capture_default_str();

  return app.run(argc, argv, [&] {
    how.by = statistics.at(by);
    corpus texts = app.find_texts();
    const tokenizer words = *texts.words;
    model<> opt{checkpoint{app.model}, cpu{app.threads}};
    app.report(opt);
    app.make_folder();

    std::string run = "light_up " + fingerprint(opt.files());
    for (std::size_t t = 0; t < texts.size(); ++t) {
      const fs::path& file = texts.texts[t].file;
      run += "\n" + texts.category_name(t) + " " + file.string() + " " + std::to_string(fs::file_size(file)) + " " +
             std::to_string(fs::last_write_time(file).time_since_epoch().count());
    }
    const text_groups groups{texts.texts_of_each()};
    findings found{fs::canonical(app.model).filename().string(),
                   describe(opt.shape()),
                   std::move(texts),
                   groups,
                   unit_sums{opt.shape(), groups, head_norms_of(opt)},
                   {},
                   {},
                   {}};

    std::signal(SIGINT, [](int) {
      interrupted = 1;
      std::signal(SIGINT, SIG_DFL);  // the second one ends the program
    });
    add_up(opt, app, words, run, found);
    std::signal(SIGINT, SIG_DFL);
    for (const unit_statistic statistic : all_unit_statistics) {
      found.effects.emplace(statistic, compare_categories(found.sums, found.groups, statistic, opt.backend()));
    }
    state_limits(found);
    look(opt, words, how, found);

    write_table(found, how, app.out / "units.tsv");
    write_summary(found, how, words, app.out / "summary.json");
    make_report(found, how, words).write(app.out, opt.backend().pool());
    fs::remove(app.out / "state");
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
