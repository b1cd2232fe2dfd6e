// SPDX-License-Identifier: MIT
// What the programs share (examples/support/): texts, categories, lengths, exit codes.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../examples/support/program.hpp"
#include "tokenizer/golden_files.hpp"

using namespace tokenizer_tests;

namespace {

// What `program::app` makes of a command line; the input goes to `found`.
int run(std::vector<std::string> arguments, optscope::corpus& found, std::size_t minimum = 1) {
  program::app app{"test", "Reads its input.", "--model examples/demo-model"};
  app.offer({"--model", "--texts", "--ids", "--length", "--layers", "--positions"});
  arguments.insert(arguments.begin(), "test");
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  return app.run(static_cast<int>(arguments.size()), argv.data(), [&] {
    found = app.read_input(minimum);
    (void)app.layers_of(12);
    (void)app.positions_of(8);
  });
}

}  // namespace

TEST_CASE("sub-folders are categories, in name order, and a leading number is not shown") {
  const temporary_folder folder;
  const std::string model = (goldens / "tiny").string();
  fs::create_directories(folder / "texts/2-code");
  fs::create_directories(folder / "texts/1-prose");
  fs::create_directories(folder / "texts/.hidden");
  folder.put("texts/1-prose/02-b.txt", "\ufefftwo\r\n");
  folder.put("texts/1-prose/01-a.txt", "one");
  folder.put("texts/2-code/7.txt", "x = 7\n");
  folder.put("texts/2-code/7.md", "not a text");
  const std::string texts = folder / "texts";
  optscope::corpus in;
  REQUIRE_EQ(run({"--model", model, "--texts", texts}, in), 0);
  REQUIRE_EQ(in.texts.size(), 3);
  CHECK_EQ(in.texts[0].name, "a");
  CHECK_EQ(in.content(1), "\ufefftwo\r\n");
  CHECK_EQ(in.texts[2].name, "7");
  CHECK(in.categories == std::vector<std::string>{"prose", "code"});
  CHECK(in.category_of == std::vector<std::size_t>{0, 0, 1});
  CHECK(in.tokens[1] == optscope::tokenizer{model}.encode("\ufefftwo\r\n"));

  REQUIRE_EQ(run({"--model", model, "--texts", texts, "--length", "2"}, in), 0);
  CHECK_EQ(in.tokens[2].size(), 2);
  CHECK_EQ(in.tokens[2][0], 2);
  CHECK_EQ(run({"--model", model, "--texts", texts, "--length", "2"}, in, 3), 3);
  REQUIRE_EQ(run({"--model", model, "--texts", texts + "/1-prose"}, in), 0);
  CHECK(in.categories == std::vector<std::string>{"prose"});
  REQUIRE_EQ(run({"--model", model, "--texts", texts + "/2-code/7.txt"}, in), 0);
  CHECK_EQ(in.texts.size(), 1);

  folder.put("texts/loose.txt", "next to the folders");
  CHECK_EQ(run({"--model", model, "--texts", texts}, in), 3);
  fs::remove(folder / "texts/loose.txt");
  fs::create_directory(folder / "texts/3-empty");
  CHECK_EQ(run({"--model", model, "--texts", texts}, in), 3);
}

TEST_CASE("ids are taken unchanged and need no tokenizer files") {
  const temporary_folder folder;
  folder.put("ids.json", "[[5, 6, 7], [8]]");
  fs::create_directory(folder / "model");
  optscope::corpus in;
  REQUIRE_EQ(run({"--model", folder / "model", "--ids", folder / "ids.json"}, in), 0);
  CHECK(in.tokens == optscope::token_batch{{5, 6, 7}, {8}});
  CHECK_FALSE(in.words.has_value());
  CHECK_EQ(run({"--model", folder / "model", "--ids", folder / "ids.json"}, in, 2), 3);
  CHECK_EQ(run({"--model", folder / "model", "--texts", folder / "ids.json"}, in), 3);
}

TEST_CASE("wrong usage exits with 2, bad input with 3") {
  const temporary_folder folder;
  folder.put("bad.txt", "a\xff");
  folder.put("good.txt", "a");
  const std::string model = (goldens / "tiny").string(), good = folder / "good.txt";
  optscope::corpus in;
  CHECK_EQ(run({"--model", model, "--texts", good, "--positions", "-1", "--layers", "::-1"}, in), 0);
  CHECK_EQ(run({"--texts", good}, in), 2);
  CHECK_EQ(run({"--model", model}, in), 2);
  CHECK_EQ(run({"--model", model, "--texts", good, "--ids", good}, in), 2);
  CHECK_EQ(run({"--model", model, "--texts", good, "--length", "0"}, in), 2);
  CHECK_EQ(run({"--model", model, "--texts", good, "--layers", "last"}, in), 2);
  CHECK_EQ(run({"--model", model, "--texts", good, "--bogus"}, in), 2);
  CHECK_EQ(run({"--model", model, "--texts", good, "--layers", "12"}, in), 3);
  CHECK_EQ(run({"--model", model, "--texts", good, "--positions", "8"}, in), 3);
  CHECK_EQ(run({"--model", model, "--texts", folder / "bad.txt"}, in), 3);
  CHECK_EQ(run({"--model", folder / "none", "--texts", good}, in), 3);
  CHECK_EQ(run({"--model", model, "--texts", folder / "none"}, in), 3);
}

TEST_CASE("a word that a shell would split is quoted") {
  CHECK_EQ(program::quoted("../texts/1-a.txt"), "../texts/1-a.txt");
  CHECK_EQ(program::quoted("my models/opt"), "'my models/opt'");
  CHECK_EQ(program::quoted("it's"), "'it'\\''s'");
  CHECK_EQ(program::quoted(""), "''");
}

TEST_CASE("a file that is cut while it is read is bad input, with a message") {
  const temporary_folder folder;
  folder.put("cut", std::string(100000, 'a'));
  int ends[2];
  REQUIRE_EQ(::pipe(ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(ends[1], STDERR_FILENO);
    program::app app{"test", "Reads a file.", ""};
    std::string name = "test";
    char* argv[] = {name.data(), nullptr};
    ::_exit(app.run(1, argv, [&] {
      const optscope::mapped_file file{folder / "cut"};
      fs::resize_file(folder / "cut", 1);
      if (file.bytes()[99999] == std::byte{'a'}) throw std::runtime_error{"read what is not there"};
    }));
  }
  ::close(ends[1]);
  int status = 0;
  REQUIRE_EQ(::waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 3);
  char text[200] = "";
  CHECK_GT(::read(ends[0], text, sizeof text - 1), 0);
  ::close(ends[0]);
  CHECK_EQ(std::string{text}, "test: a file was cut, or its disk failed, while it was read\n");
}
