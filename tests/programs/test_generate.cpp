// SPDX-License-Identifier: MIT
// `generate`: what it prints against the library, and its usage.
#include <algorithm>
#include <optscope/opt/generate.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <string>
#include <vector>

#include "programs/run_program.hpp"

using namespace program_tests;
using namespace optscope;

namespace {

const fs::path generate_goldens = source / "tests/goldens/generate";

std::vector<std::string> generate_arguments(const fs::path& model, const std::vector<std::string>& more) {
  std::vector<std::string> all{"--model", model.string()};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::string list_of(const token_list& ids) {
  std::string text;
  for (const token_id id : ids) text += (text.empty() ? "" : ",") + std::to_string(id);
  return "[" + text + "]";
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines{""};
  for (const char c : text) {
    if (c == '\n') {
      lines.emplace_back();
    } else {
      lines.back() += c;
    }
  }
  CHECK_EQ(lines.back(), "");
  lines.pop_back();
  return lines;
}

}  // namespace

TEST_CASE("generate --json continues lists of ids as transformers does, one line each, without tokenizer files") {
  const sandbox box;
  for (const fs::path& model : {tiny_model, post_ln_model}) {
    const std::string name = model.filename();
    const auto result = box.run(
        "generate",
        generate_arguments(model, {"--ids", generate_goldens / (name + "-prompts.json"), "--new", "24", "--json"}));
    check_done(result);
    const token_batch prompts = read_token_lists(generate_goldens / (name + "-prompts.json"));
    const token_batch ids = read_token_lists(generate_goldens / (name + "-ids.json"));
    const std::vector<std::string> lines = lines_of(result.out);
    REQUIRE_EQ(lines.size(), prompts.size());
    for (std::size_t i = 0; i < lines.size(); ++i) {
      CHECK_EQ(lines[i],
               R"({"prompt_ids":)" + list_of(prompts[i]) + R"(,"ids":)" + list_of(ids[i]) + R"(,"text":null})");
    }
  }
}

TEST_CASE("generate prints the continuation alone; several prompts give what each gives alone") {
  const sandbox box;
  const std::vector<std::string> prompts{"The history of", "We propose a method", "int main", ""};
  std::string each;
  std::vector<std::string> all;
  for (const std::string& prompt : prompts) {
    const auto result = box.run("generate", generate_arguments(demo_model, {"--prompt", prompt, "--new", "16"}));
    check_done(result);
    each += result.out;
    all.insert(all.end(), {"--prompt", prompt});
  }
  all.insert(all.end(), {"--new", "16", "--threads", "1"});
  const auto together = box.run("generate", generate_arguments(demo_model, all));
  check_done(together);
  CHECK_EQ(together.out, each);

  const tokenizer words{demo_model};
  model<> opt{checkpoint{demo_model}};
  token_batch tokens;
  for (const std::string& prompt : prompts) tokens.push_back(words.encode(prompt));
  std::string expected;
  for (const token_list& ids : generate(opt, tokens, {.new_tokens = 16, .tokens = words.size()})) {
    expected += words.decode(ids) + "\n";
  }
  CHECK_EQ(together.out, expected);
}

TEST_CASE("generate --int8 continues in eight bits") {
  const sandbox box;
  box.write("ids.json", "[[2, 100, 7], [2, 31]]");
  const auto result =
      box.run("generate", generate_arguments(tiny_model, {"--ids", "ids.json", "--new", "4", "--int8"}));
  check_done(result);
  const auto one = box.run(
      "generate", generate_arguments(tiny_model, {"--ids", "ids.json", "--new", "4", "--int8", "--threads", "1"}));
  CHECK_EQ(one.out, result.out);
  CHECK_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 2);
}

TEST_CASE("generate draws with a seed, and every sampling option turns drawing on") {
  const sandbox box;
  const auto out = [&](std::vector<std::string> more) {
    more.insert(more.end(), {"--prompt", "The", "--new", "20", "--json", "--ignore-eos"});
    const auto result = box.run("generate", generate_arguments(demo_model, more));
    check_done(result);
    return result.out;
  };
  const std::string greedy_out = out({}), drawn = out({"--seed", "5"});
  CHECK(drawn != greedy_out);
  CHECK_EQ(out({"--seed", "5"}), drawn);
  CHECK_EQ(out({"--seed", "5", "--temperature", "1"}), drawn);
  CHECK(out({"--seed", "6"}) != drawn);
  CHECK(out({"--temperature", "1.5"}) != greedy_out);
  CHECK_EQ(out({"--temperature", "0", "--seed", "5"}), greedy_out);
  CHECK_EQ(out({"--top-k", "1"}), greedy_out);
  CHECK_EQ(out({"--top-p", "0.000001"}), greedy_out);
  CHECK(out({"--top-p", "0.9"}) != greedy_out);
}

TEST_CASE("generate stops at </s> unless told otherwise") {
  const sandbox box;
  const token_batch ids = read_token_lists(generate_goldens / "head-dim-64-ids.json");
  REQUIRE(std::any_of(ids.begin(), ids.end(), [](const token_list& list) { return list.size() < 24; }));
  const std::vector<std::string> more{"--ids", generate_goldens / "head-dim-64-prompts.json", "--new", "24",
                                      "--ignore-eos"};
  const auto result = box.run("generate", generate_arguments(tiny_model, more));
  check_done(result);
  const std::vector<std::string> lines = lines_of(result.out);
  REQUIRE_EQ(lines.size(), ids.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    CHECK_EQ(std::count(lines[i].begin(), lines[i].end(), ' '), 23);
    CHECK_EQ(lines[i].rfind(std::to_string(ids[i][0]), 0), 0);
  }
}

TEST_CASE("generate refuses wrong usage and bad input") {
  const sandbox box;
  const auto refused = [&](int code, const fs::path& model, const std::vector<std::string>& more,
                           const std::string& part) {
    check_refused(box.run("generate", generate_arguments(model, more)), code, "generate", part);
  };
  refused(2, demo_model, {}, "--prompt or --ids");
  refused(2, demo_model, {"--prompt", "a", "--ids", "x"}, "--prompt: cannot be given together with --ids");
  refused(2, demo_model, {"--prompt", "a", "--new", "0"}, "--new");
  refused(2, demo_model, {"--prompt", "a", "--temperature", "-1"}, "expected a number, 0 or more, found -1");
  refused(2, demo_model, {"--prompt", "a", "--temperature", "nan"}, "expected a number, 0 or more, found nan");
  refused(2, demo_model, {"--prompt", "a", "--top-p", "0"}, "expected a number above 0, at most 1, found 0");
  refused(2, demo_model, {"--prompt", "a", "--top-p", "1.1"}, "--top-p");
  refused(2, demo_model, {"--prompt", "a", "--top-k", "0"}, "--top-k");
  refused(2, demo_model, {"--prompt", "a", "--seed", "-1"}, "--seed");
  refused(2, demo_model, {"--prompt", "a", "--int8", "--device", "cuda"}, "--int8: works with --device cpu alone");
  refused(3, "nothing", {"--prompt", "a"}, "nothing");
  refused(3, demo_model, {"--prompt", "ab\xff"}, "prompt 0: byte 2: expected UTF-8, found 0xff");
  refused(3, tiny_model, {"--prompt", "a"}, "vocab.json");
  box.write("ids.json", "[[2, 3], [2, 101]]");
  refused(3, tiny_model, {"--ids", "ids.json"}, "ids.json: list 1, token 1: expected an id below 101, found 101");
  std::string longer = "[[2";
  for (int i = 0; i < 320; ++i) longer += ",3";
  box.write("long.json", longer + "]]");
  refused(3, tiny_model, {"--ids", "long.json"}, "long.json: list 0: expected at most 320 tokens, found 321");
}

TEST_CASE("generate --help ends with an example that works unchanged") {
  const sandbox box;
  const auto help = box.run("generate", {"--help"});
  check_done(help);
  const auto result = box.shell(example_of(help.out));
  check_done(result);
  CHECK(result.out.size() > 10);
}
