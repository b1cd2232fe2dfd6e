// SPDX-License-Identifier: MIT
// What the programs share (examples/support/): texts, categories, lengths, exit codes.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <iostream>
#include <map>

#include "../../examples/support/program.hpp"
#include "tokenizer/golden_files.hpp"

using namespace tokenizer_tests;

namespace {

// What `program::app` makes of a command line; the input goes to `found`.
int run(std::vector<std::string> arguments, optscope::corpus& found, std::size_t minimum = 1) {
  program::app app{"test", "Reads its input.", "--model examples/demo-model"};
  app.offer({"--model", "--texts", "--prompt", "--ids", "--length", "--layers", "--positions"});
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

TEST_CASE("the text of an option is taken as it is") {
  const std::string model = (goldens / "tiny").string();
  const optscope::tokenizer words{model};
  for (const std::string text : {"[INST]", "[Music] by [me]", "[1, 2, 3]", "[]", "[[a]]", "{}", "%%", "", " ", "\"a\"",
                                 "'a'", "\\n", "a,b", "-1", "--length", "\x01", "\x01[a]", "@a", "a=b"}) {
    CAPTURE(text);
    optscope::corpus in;
    REQUIRE_EQ(run({"--model", model, "--prompt", text}, in), 0);
    REQUIRE_EQ(run({"--model", model, "--prompt=" + text, "--prompt", text}, in), 0);
    CHECK(in.tokens == optscope::token_batch(2, words.encode(text)));
  }
  const temporary_folder folder;
  const std::vector<std::string> names{"[drafts]", "{}", "[a,b]", "a,b", "[[a]]", "a=b", "%%"};
  std::vector<std::string> all{"--model", model, "--texts"};
  for (const std::string& name : names) {
    fs::create_directory(folder / name);
    folder.put(name + "/a.txt", name);
    all.push_back((folder / name).string());
  }
  const fs::path before = fs::current_path();
  fs::current_path(folder.path);
  optscope::corpus in;
  for (const std::string& name : names) {
    CAPTURE(name);
    REQUIRE_EQ(run({"--model", model, "--texts", name}, in), 0);
    CHECK_EQ(in.content(0), name);
  }
  fs::current_path(before);
  REQUIRE_EQ(run(all, in), 0);  // several after one --texts
  CHECK_EQ(in.size(), names.size());
}

TEST_CASE("numbers are decimal, and one that its type cannot hold is refused") {
  std::size_t number = 0;
  double real = 0;
  for (const auto& [text, value] : std::map<std::string, std::size_t>{
           {"010", 10}, {"08", 8}, {"000", 0}, {"+3", 3}, {"18446744073709551615", ~std::size_t{0}}}) {
    CHECK_EQ(program::read_number(text, number), "");
    CHECK_EQ(number, value);
  }
  for (const std::string text : {"", "-1", "0x10", "1.5", "1e3", " 1", "1 ", "1'000", "1_000", "+-1", "[1]"}) {
    CAPTURE(text);
    CHECK_EQ(program::read_number(text, number).rfind("expected a whole number, 0 or more, found ", 0), 0);
    CHECK_EQ(program::not_positive(text).rfind("expected a whole number, 1 or more, found ", 0), 0);
  }
  CHECK_EQ(program::read_number("18446744073709551616", number),
           "expected at most 18446744073709551615, found 18446744073709551616");
  CHECK_NE(program::not_threads("18446744073709551617"), "");
  for (const auto& [text, value] : std::map<std::string, double>{{"010.50", 10.5}, {".5", 0.5}, {"-1e3", -1000}}) {
    CHECK_EQ(program::read_number(text, real), "");
    CHECK_EQ(real, value);
  }
  for (const std::string text : {"", "nan", "inf", "0x1p3", "1,5", "1e999", "-1e999", "1e-999"}) {
    CAPTURE(text);
    CHECK_NE(program::read_number(text, real), "");
  }
  const std::string model = (goldens / "tiny").string();
  optscope::corpus in;
  REQUIRE_EQ(run({"--model", model, "--prompt", "a long enough text", "--length", "010"}, in), 0);
  CHECK_EQ(in.tokens[0].size(), 10);
  CHECK_EQ(run({"--model", model, "--prompt", "a", "--length", "18446744073709551617"}, in), 2);
}

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

TEST_CASE("a standard stream that is closed never becomes an output file") {
  const pid_t child = ::fork();
  if (child == 0) {
    for (const int stream : {0, 1, 2}) ::close(stream);
    program::app app{"test", "Opens a file.", ""};
    std::string name = "test";
    char* argv[] = {name.data(), nullptr};
    const int code = app.run(1, argv, [&] {
      const int file = ::open("/dev/null", O_RDWR);
      if (file < 3) throw optscope::bad_input{"", "", "a number above 2", std::to_string(file)};
      std::cout << "what a program prints";
    });
    ::_exit(code);
  }
  int status = 0;
  REQUIRE_EQ(::waitpid(child, &status, 0), child);
  CHECK(WIFEXITED(status));
  CHECK_EQ(WEXITSTATUS(status), 1);  // standard output cannot be written
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
