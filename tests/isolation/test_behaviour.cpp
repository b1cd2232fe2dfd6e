// SPDX-License-Identifier: MIT
// What a model is seen to do: judges of continuations, loops, the loss of held-out texts with its interval.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optscope/corpus/corpus.hpp>
#include <optscope/corpus/halves.hpp>
#include <optscope/isolation/behaviour.hpp>
#include <optscope/isolation/code_structure.hpp>
#include <optscope/isolation/judge.hpp>
#include <optscope/isolation/measured_texts.hpp>
#include <optscope/isolation/repetition.hpp>
#include <optscope/isolation/wilson.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace optscope;

TEST_CASE("the judge knows pieces of texts that it has not seen") {
  std::vector<std::vector<std::string>> train(2);
  for (int i = 0; i < 40; ++i) {
    train[0].push_back("\tif (size < " + std::to_string(i * 7) + ")\n\t\treturn -EINVAL;\n\tfree(buf);\n");
    train[1].push_back("And so on day " + std::to_string(i * 7) + " they came to the sea, and there was no boat.\n");
  }
  const ngram_judge judge{train};
  const auto decide = [&](std::string_view text) { return most_probable(judge.probabilities(text)); };
  const auto far = judge.probabilities("\twhile (left > 3)\n\t\tleft = next(left);\n");  // hardly a word is known
  CHECK(far[0] > 1000 * far[1]);
  CHECK_EQ(decide("\tif (left < 3)\n\t\treturn -EAGAIN;\n\tfree(left);\n"), 0);
  CHECK_EQ(decide("There were 12 days of rain, and then the sun came back.\n"), 1);
  const auto p = judge.probabilities("");
  REQUIRE_EQ(p.size(), 3);
  CHECK(p[0] + p[1] + p[2] == doctest::Approx(1));
  // A category of few texts is found as well.
  train[1].resize(3);
  CHECK_EQ(most_probable(ngram_judge{train}.probabilities(
               "There were 12 days of rain, and then the sun came back to the sea.\n")),
           1);
}

TEST_CASE("Wilson's interval of known cases") {
  CHECK(wilson(0, 10).low == 0);
  CHECK(wilson(0, 10).high == doctest::Approx(0.27753).epsilon(1e-4));
  CHECK(wilson(8, 10).low == doctest::Approx(0.49016).epsilon(1e-4));
  CHECK(wilson(8, 10).high == doctest::Approx(0.94332).epsilon(1e-4));
  CHECK(wilson(0, 0).low == 0);
  CHECK(wilson(0, 0).high == 1);
}

TEST_CASE("pieces of C have no error") {
  for (const char* piece :
       {"{\n\tint x = f(a[1]);\n\treturn x;\n}\n", "\tx = 1;\n}\n",  // the prompt may have opened it
        "for (i = 0; i < n; i++)\n\t\tif (!a[i])\n\t\t\tbreak;\n", "#define F(x) \\\n\tg(x, #x)\n",
        "of the queue.\n */\nstatic const struct ops *o = &p->ops;\n", "case 'a':\n\tgoto out;\nout:\n\tfree(*p",
        "return (u8)(x >> 3) & ~0x3fUL;\n", ".name = \"it's\",\n\t.size = sizeof(int) * 2,\n};\n",
        "static int __init start(void)\n{\n\tpr_info(\"%s: \" FMT, name, a->b ? -1 : c--);\n",
        "unsigned long flags = 0; // don't\n", "#ifdef A\nint printf(const char *, ...);\n#endif\n"}) {
    CHECK_MESSAGE(has_code_structure(piece), piece);
  }
}

TEST_CASE("what is no piece of C has an error: contradicting brackets, prose, verse with names, shuffled code, tabs") {
  for (const char* piece : {"{\n\tint x = f(a[1);\n}\n",
                            "My lord, the night is long,\nand no one comes to the gate\n",
                            "no line end",
                            "ANSGAR:\nWhat news?\n\nMEREWIN:\nThe bridge is down;\n",
                            "HAL:\nStay.\nNED:\nI go.\n",
                            "\t\t\t\t\t\t",
                            "x = ; 1\n",
                            "if x {\n",
                            "a + ) b;\n",
                            "12 apples;\n",
                            "count 12;\n",
                            "f(a; b);\n",
                            "a->(b);\n",
                            "x = 'ab c';\n",
                            "{ return, ;\n",
                            "goto (x);\n",
                            "int the big x;\n",
                            "# Heading\n",
                            "a[;]\n",
                            "price: 5 €;\n",
                            "(; int x { return\n",
                            "\"unfinished\nx = 1;\n"}) {
    CHECK_FALSE_MESSAGE(has_code_structure(piece), piece);
  }
}

TEST_CASE("a loop is a text in which fewer than half of the runs of four tokens are different") {
  token_list once, twice, four;
  for (token_id i = 0; i < 24; ++i) {
    once.push_back(i);
    twice.push_back(i % 12);
    four.push_back(i % 6);
  }
  CHECK_EQ(distinct_share(once), 1);
  CHECK_EQ(distinct_share(twice), 12.0 / 21);
  CHECK_EQ(distinct_share(four), 6.0 / 21);
  CHECK_FALSE(is_loop(once));
  CHECK_FALSE(is_loop(twice));
  CHECK(is_loop(four));
  CHECK(is_loop(token_list(12, 7)));
  CHECK_FALSE(is_loop(token_list(11, 7)));  // too short to tell
  CHECK_EQ(distinct_share({1, 2, 3}), 1);
  CHECK_FALSE(is_loop({}));
}

TEST_CASE("the judges on the demo's texts: real pieces, the same tokens shuffled, and pieces of other kinds") {
  const std::filesystem::path examples = std::filesystem::path{OPTSCOPE_SOURCE_DIR} / "examples";
  corpus found = find_corpus({examples / "texts", examples / "more-texts"});
  found.words = tokenizer{examples / "demo-model"};
  const corpus_halves halves = read_halves(found);
  const ngram_judge judge{halves.contents};
  const std::size_t categories = found.categories.size(), code = 2;
  constexpr std::ptrdiff_t length = 48;
  std::mt19937_64 bits{5};
  counted right, none, shuffled_none, code_found, shuffled_code, others_code;
  const auto count = [](counted& what, bool hit) {
    what.hits += hit;
    ++what.all;
  };
  for (std::size_t c = 0; c < categories; ++c) {
    for (const token_list& text : halves.measured.tokens_in(c)) {
      for (auto at = text.begin() + 1; text.end() - at >= length; at += 2 * length) {
        token_list piece(at, at + length);
        const std::string real = found.words->decode(piece);
        const std::size_t is = most_probable(judge.probabilities(real));
        count(right, is == c);
        count(none, is == categories);
        count(c == code ? code_found : others_code, has_code_structure(real));
        std::shuffle(piece.begin(), piece.end(), bits);
        const std::string shuffled = found.words->decode(piece);
        count(shuffled_none, most_probable(judge.probabilities(shuffled)) == categories);
        if (c == code) count(shuffled_code, has_code_structure(shuffled));
      }
    }
  }
  REQUIRE(right.all > 500);
  CHECK(right.share() > 0.94);
  CHECK(none.share() < 0.02);
  CHECK(shuffled_none.share() > 0.8);
  CHECK(code_found.share() > 0.88);
  CHECK(shuffled_code.share() < 0.08);
  CHECK(others_code.share() < 0.01);
}

TEST_CASE("a change of loss has Student's interval over texts, of the ratio of sums") {
  behaviour before, after;
  before.of_texts = {{0, 200, 100}, {0, 500, 300}, {0, 90, 50}, {1, 70, 10}};
  after.of_texts = {{0, 230, 100}, {0, 560, 300}, {0, 95, 50}, {1, 60, 10}};
  const loss_change change = change_of_loss(before, after, 0);
  // by hand: 95 / 450; residuals 30 - 100 m, 60 - 300 m, 5 - 50 m; 4.30265 sqrt(3 / 2 sum of squares) / 450
  CHECK_EQ(change.texts, 3);
  CHECK(change.mean == doctest::Approx(0.2111111));
  CHECK(change.low == doctest::Approx(0.0823041).epsilon(1e-5));
  CHECK(change.high == doctest::Approx(0.3399182).epsilon(1e-5));
  const loss_change single = change_of_loss(before, after, 1);
  CHECK_EQ(single.mean, -1);
  CHECK(std::isnan(single.low));
}

TEST_CASE("held-out windows are drawn evenly from all texts; two parts of them share no text") {
  corpus all;
  all.categories = {"a", "b"};
  for (token_id text = 0; text < 5; ++text) {
    token_list tokens;
    for (token_id i = 0; i < 100; ++i) tokens.push_back(100 * text + i);
    all.add(0, tokens);
  }
  token_list single;
  for (token_id i = 0; i < 40; ++i) single.push_back(1000 + i);
  all.add(1, single);

  const measured_texts some = draw_measured(all, {.held_out = 100, .window = 20, .prompts = 1, .prompt_tokens = 4});
  REQUIRE_EQ(some.text_of.size(), some.held_out.tokens.size());
  CHECK(std::vector<std::size_t>(some.text_of.begin(), some.text_of.begin() + 5) ==
        std::vector<std::size_t>{0, 1, 2, 3, 4});
  CHECK_EQ(some.held_out.tokens_in(0)[0][0], 40);  // the middle
  const measured_texts more = draw_measured(all, {.held_out = 10000, .window = 20, .prompts = 1, .prompt_tokens = 4});
  CHECK_EQ(more.held_out.tokens_in(0).size(), 25);
  CHECK_EQ(more.held_out.tokens_in(1).size(), 2);
  CHECK_EQ(more.text_of.back(), 5);

  const auto [first, second] = parts_of(all);
  CHECK_EQ(first.tokens_in(0).size(), 3);
  CHECK_EQ(second.tokens_in(0).size(), 2);
  CHECK_EQ(second.tokens_in(0)[0][0], 100);
  CHECK_EQ(first.tokens_in(1)[0].size(), 20);
  CHECK_EQ(second.tokens_in(1)[0][0], 1020);
}
