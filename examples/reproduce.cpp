// SPDX-License-Identifier: MIT
// Every figure of the similarity study on one page, from what `study` and `tight_pass` wrote: see reproduce.sh.
#include <iostream>
#include <optscope/core/json_writer.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/plot/report.hpp>

#include "reproduce_figures.hpp"
#include "support/program.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

plot::report page_of(const reproduce::sources& from, const std::vector<reproduce::figure>& figures) {
  plot::report page{"The similarity study, figure by figure", from.of_study.at("model").text()};
  std::vector<plot::report::fact> facts{{"texts", from.texts()}, {"vectors of a text", std::to_string(from.positions)}};
  page.facts("Model and run", facts);
  std::vector<std::vector<std::string>> rows;
  for (const reproduce::figure& each : figures) {
    rows.push_back({each.heading, each.claim, reproduce::text_of(each.result)});
  }
  page.table("Verdicts", {"figure", "what the study says", "on this model"}, rows);
  for (const reproduce::figure& each : figures) {
    page.notes(each.heading, {"The study: " + each.claim, "Found here: " + each.found, "Test: " + each.test,
                              "Verdict: the claim " + reproduce::text_of(each.result) + "."});
    for (std::size_t i = 0; i < each.pictures.size(); ++i) {
      page.picture("", each.captions[i], each.pictures[i].first, each.pictures[i].second);
    }
  }
  page.notes("How to read this page",
             {"The study is \"Searching for Modularity in Large Language Models\" (2022), of OPT-125M and OPT-2.7B. "
              "Its claims are put here so that they can be tested; each verdict is of this model and these texts, with "
              "p 0.05 as the limit, corrected within a figure.",
              "\"Cannot be told with so few texts\" means that no result of the test could have been below 0.05, or "
              "that it takes more texts or categories. examples/more-texts has more: reproduce.sh --texts "
              "examples/texts --texts examples/more-texts.",
              "The folders next to this page have each program's own report, with more than is shown here."});
  return page;
}

std::string summary_of(const reproduce::sources& from, const std::vector<reproduce::figure>& figures) {
  json_writer json;
  json.begin_object().field("model", from.of_study.at("model").text()).key("figures").begin_array();
  for (const reproduce::figure& each : figures) {
    json.begin_object().field("figure", each.heading).field("claim", each.claim).field("found", each.found);
    json.field("test", each.test).field("verdict", reproduce::text_of(each.result)).end_object();
  }
  json.end_array().end_object();
  return json.text() + "\n";
}

}  // namespace

int main(int argc, char** argv) {
  program::app app{"reproduce",
                   "Puts every figure of the similarity study on one page: its claim, what is found, a test, a "
                   "verdict. Takes the folders that `study --heads` and `tight_pass` wrote; examples/reproduce.sh runs "
                   "these first. Writes report.html, pictures/ and summary.json.",
                   "--study out/study --few out/spectra-3 --many out/spectra-34 --out out"};
  app.offer({"--threads", "--out"});
  fs::path study, few, many;
  app.option("--study", &study, "The folder that `study --heads` wrote, with the metrics cosine and scaled_cosine")
      .type("DIR")
      .required();
  app.option("--few", &few, "The folder that `tight_pass --length 3 --text all` wrote").type("DIR").required();
  app.option("--many", &many, "The folder that `tight_pass --length 34 --layers ::2` wrote").type("DIR").required();

  return app.run(argc, argv, [&] {
    const reproduce::sources from{study, few, many};
    const std::vector<reproduce::figure> figures = reproduce::figures_of(from);
    app.make_folder();
    write_file(app.out / "summary.json", summary_of(from, figures));
    thread_pool pool{app.threads};
    page_of(from, figures).write(app.out, pool);
    for (const reproduce::figure& each : figures) {
      std::cout << each.heading << ": " << reproduce::text_of(each.result) << '\n';
    }
    std::cout << (app.out / "report.html").string() << '\n';
  });
}
