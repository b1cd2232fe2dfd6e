// SPDX-License-Identifier: MIT
// `light_up`: two folders of texts in, findings out; stopped and resumed; texts that allow nothing to be said.
#include <simdjson.h>

#include <string>
#include <vector>

#include "programs/run_program.hpp"

using namespace program_tests;

namespace {

/// Two categories of made-up texts.
void write_texts(const sandbox& box, std::size_t each) {
  for (std::size_t i = 0; i < each; ++i) {
    const std::string n = std::to_string(i);
    std::string code, prose;
    for (int line = 0; line < 12; ++line) {
      code += "\tif (buf->len < " + n + std::to_string(line) + ")\n\t\treturn -EINVAL;\n";
      prose +=
          "The " + n + " visitors came on day " + std::to_string(line) + ", and they asked for more of the bread. ";
    }
    box.write("texts/1-code/" + n + ".txt", code);
    box.write("texts/2-prose/" + n + ".txt", prose);
  }
}

void check_no_nan(const sandbox& box, const std::string& folder) {
  for (const char* file : {"/summary.json", "/units.tsv"}) {
    const std::string text = content_of(box / (folder + file));
    CHECK(text.find("nan") == std::string::npos);
    CHECK(text.find("inf") == std::string::npos);
  }
}

}  // namespace

TEST_CASE("light_up finds what distinguishes two folders, and resumes to the same result after Ctrl-C") {
  const sandbox box;
  write_texts(box, 6);
  const auto result = box.run("light_up", {"--model", demo_model, "--texts", "texts", "--out", "found"});
  check_done(result);
  CHECK_EQ(result.out, "found/report.html\n");
  CHECK_EQ(box.list("found"),
           std::vector<std::string>{"pictures/", "pictures/heads.pdf", "pictures/heads.png", "pictures/heads.svg",
                                    "pictures/neurons.pdf", "pictures/neurons.png", "pictures/neurons.svg",
                                    "report.html", "summary.json", "units.tsv"});
  check_no_nan(box, "found");
  simdjson::dom::parser parser;
  const simdjson::dom::element summary = parser.load((box / "found/summary.json").string());
  CHECK_EQ(summary["run"]["seeds"]["labellings"].get_uint64().value(), 0);
  const simdjson::dom::element code = summary["categories"].at(0);
  CHECK_EQ(std::string{code["name"].get_c_str().value()}, "code");
  CHECK(code["findings"]["mean_abs"]["neuron"].get_uint64().value() > 1000);
  CHECK(code["exact"].get_bool().value());
  CHECK_EQ(summary["neurons"].get_array().value().size(), 16);
  const std::string table = content_of(box / "found/units.tsv");
  CHECK_EQ(std::count(table.begin(), table.end(), '\n'), 1 + 8 * (3 + 8 + 1024));

  const auto stopped = box.shell(std::string{OPTSCOPE_PROGRAMS_DIR} + "/light_up --model '" + demo_model.string() +
                                 "' --texts texts --out again & sleep 0.2; kill -INT $!; wait $!");
  CHECK((stopped.code == 1 || stopped.code == 0 || stopped.code == 130));  // where it was stopped, or not any more
  check_done(box.run("light_up", {"--model", demo_model, "--texts", "texts", "--out", "again"}));
  CHECK_EQ(content_of(box / "again/units.tsv"), table);
}

TEST_CASE("light_up says what the texts do not allow it to conclude, and refuses what it cannot compare") {
  const sandbox box;
  box.write("same/a/1.txt", "int x = 1;\n");
  box.write("same/b/1.txt", "int y = 2;\n");
  check_done(box.run("light_up", {"--model", demo_model, "--texts", "same", "--out", "out"}));
  check_no_nan(box, "out");
  const std::string summary = content_of(box / "out/summary.json");
  CHECK(summary.find("one text in every category: no effect size can be given") != std::string::npos);
  CHECK(summary.find("category b has one text") != std::string::npos);
  CHECK_EQ(content_of(box / "out/report.html").find("1 texts"), std::string::npos);

  check_refused(box.run("light_up", {"--model", demo_model, "--texts", "same/a", "--out", "x"}), 3, "light_up",
                "at least two categories");
  box.write("copies/a/1.txt", "int x = 1;\n");
  box.write("copies/a/2.txt", "int x = 2;\n");
  box.write("copies/b/1.txt", "int x = 2;\n");
  for (const std::string program : {"light_up", "study", "isolate"}) {
    std::vector<std::string> command{"--model", demo_model, "--texts", "copies", "--out", "x"};
    if (program == "study") command.insert(command.end(), {"--length", "4", "--positions", "1:4"});
    if (program == "isolate") command.insert(command.end(), {"--keep", "a"});
    check_refused(box.run(program, command), 3, program,
                  "expected texts that are independent of each other, found a copy of copies/a/2.txt");
  }
  box.write("empty/a/1.txt", "");
  box.write("empty/b/1.txt", "x");
  check_refused(box.run("light_up", {"--model", demo_model, "--texts", "empty", "--out", "x"}), 3, "light_up",
                "expected a text, found nothing in it");
  box.write("x/state", "not a state");
  check_refused(box.run("light_up", {"--model", demo_model, "--texts", "same", "--out", "x"}), 3, "light_up",
                "the saved state of a run, found only its beginning");
}
