// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>

#include <optscope/core/errors.hpp>
#include <optscope/corpus.hpp>
#include <random>

#include "temporary_folder.hpp"

using namespace optscope;
namespace fs = std::filesystem;

namespace {

const tokenizer& tiny() {
  static const tokenizer words{OPTSCOPE_SOURCE_DIR "/tests/goldens/tokenizer/tiny"};
  return words;
}

/// Texts of two categories; `extra` has one more for the first and a third category.
struct texts_folder : temporary_folder {
  texts_folder() {
    for (const char* name : {"texts/2-code", "texts/1-prose", "texts/.hidden", "extra/1-prose", "extra/3-verse"}) {
      fs::create_directories(path / name);
    }
    put("texts/1-prose/02-b.txt", "\ufefftwo\r\n");
    put("texts/1-prose/01-a.txt", "one");
    put("texts/2-code/7.txt", "x = 7\n");
    put("texts/2-code/7.md", "not a text");
    put("texts/2-code/.8.txt", "hidden");
    put("extra/1-prose/c.txt", "three");
    put("extra/3-verse/d.txt", "four");
  }
};

std::string refusal_of(const std::vector<fs::path>& paths) {
  try {
    (void)read_corpus(paths, tiny());
  } catch (const bad_input& e) {
    return e.what();
  }
  return "";
}

std::vector<std::string> names_of(const corpus& all) {
  std::vector<std::string> names;
  for (const corpus_text& text : all.texts) names.push_back(text.name);
  return names;
}

}  // namespace

TEST_CASE("sub-folders are categories in name order, texts are in name order and taken as they are") {
  const texts_folder folder;
  const corpus all = read_corpus({folder / "texts"}, tiny());
  CHECK(all.categories == std::vector<std::string>{"prose", "code"});
  CHECK(all.category_of == std::vector<std::size_t>{0, 0, 1});
  CHECK(names_of(all) == std::vector<std::string>{"a", "b", "7"});
  CHECK_EQ(all.content(1), "\ufefftwo\r\n");
  CHECK(all.tokens[1] == tiny().encode("\ufefftwo\r\n"));
  CHECK(all.texts_of_each() == std::vector<std::size_t>{2, 1});
  CHECK_EQ(all.index_in_category(1), 1);
  CHECK_EQ(all.index_in_category(2), 0);
  CHECK_EQ(all.category_name(2), "code");
  CHECK_EQ(all.bos(), 2);
  CHECK_EQ(all.first_words(2), "x = 7 ");
  CHECK_EQ(all.token_text(2, 0), "</s>");
}

TEST_CASE("texts of several paths are put together by category") {
  const texts_folder folder;
  const corpus all = read_corpus({folder / "texts", folder / "extra"}, tiny());
  CHECK(all.categories == std::vector<std::string>{"prose", "code", "verse"});
  CHECK(names_of(all) == std::vector<std::string>{"a", "b", "c", "7", "d"});
  CHECK(all.category_of == std::vector<std::size_t>{0, 0, 0, 1, 2});
  CHECK(all.tokens[2] == tiny().encode("three"));
  REQUIRE_EQ(all.tokens_in(0).size(), 3);
  CHECK(all.tokens_in(0)[2] == all.tokens[2]);
  CHECK(all.tokens_by_category()[2] == token_batch{tiny().encode("four")});
}

TEST_CASE("a folder of texts is one category, and so is a file") {
  const texts_folder folder;
  CHECK(find_corpus({folder / "texts/1-prose"}).categories == std::vector<std::string>{"prose"});
  const corpus file = find_corpus({folder / "texts/2-code/7.md"});
  CHECK(file.categories == std::vector<std::string>{"7"});
  REQUIRE_EQ(file.size(), 1);
  CHECK(file.tokens[0].empty());  // found, not read
}

TEST_CASE("folders without texts, texts in two places and texts that are not UTF-8 are refused by name") {
  const texts_folder folder;
  folder.put("texts/loose.txt", "next to the folders");
  CHECK(refusal_of({folder / "texts"}).find("found both: loose.txt next to 1-prose") != std::string::npos);
  fs::remove(folder / "texts/loose.txt");
  fs::create_directory(folder / "texts/3-empty");
  CHECK(refusal_of({folder / "texts"}).find("3-empty: expected at least one .txt file") != std::string::npos);
  folder.put("bad.txt", "ab\xff");
  CHECK(refusal_of({folder / "bad.txt"}).find("bad.txt: byte 2: expected UTF-8, found 0xff") != std::string::npos);
  CHECK(refusal_of({folder / "none"}).find("expected a readable file") != std::string::npos);
}

TEST_CASE("ids from a file are one category, and messages name the list") {
  const temporary_folder folder;
  const corpus all = read_corpus_ids(folder.put("some.json", "[[5, 6, 7], [8]]"));
  CHECK(all.categories == std::vector<std::string>{"some"});
  CHECK(all.tokens == token_batch{{5, 6, 7}, {8}});
  CHECK(names_of(all) == std::vector<std::string>{"0", "1"});
  CHECK_FALSE(all.words.has_value());
  CHECK_EQ(all.bos(), std::nullopt);
  CHECK_EQ(all.token_text(0, 1), "6");
  CHECK_EQ(all.first_words(0), "");
  CHECK_NOTHROW(all.require_tokens(0, 3));
  try {
    all.require_tokens(1, 3);
    FAIL("a text of one token is not long enough");
  } catch (const bad_input& e) {
    CHECK(std::string{e.what()}.ends_with("some.json: list 1: expected at least 3 tokens, found 1, 2 too few"));
  }
}

TEST_CASE("texts for a run have their files as names, read then if they have not been") {
  const texts_folder folder;
  const corpus all = read_corpus({folder / "texts"}, tiny());
  const named_texts every = all.named();
  CHECK(static_cast<const token_batch&>(every) == all.tokens);
  CHECK_EQ(every.names[1], (folder / "texts/1-prose/02-b.txt").string());
  CHECK_EQ(all.named(2).names, std::vector{(folder / "texts/2-code/7.txt").string()});
  corpus found = find_corpus({folder / "texts"});
  found.words = tiny();
  CHECK(found.named(2)[0] == all.tokens[2]);
  CHECK(found.tokens[2].empty());
  folder.put("two.json", "[[2, 5], [7]]");
  const std::string file = (folder / "two.json").string();
  CHECK_EQ(read_corpus_ids(file).named(1).names, std::vector{file + ": list 1"});
}

TEST_CASE("windows hold every token once, each window after its text's BOS") {
  const auto windows = windows_of({2, 10, 11, 12, 13, 14}, 3, token_id{2});
  REQUIRE_EQ(windows.size(), 3);
  CHECK(windows[0].tokens == token_list{2, 10, 11});
  CHECK(windows[1].tokens == token_list{2, 12, 13});
  CHECK(windows[2].tokens == token_list{2, 14});
  CHECK_EQ(windows[2].skip, 1);
  CHECK_EQ(windows_of({2, 10, 11}, 1, token_id{2}).size(), 2);  // never BOS alone
}

TEST_CASE("a random piece is a part of one of the texts, without BOS") {
  const token_batch texts{{2, 10, 11, 12, 13}, {2, 20}};
  std::mt19937_64 bits{3};
  std::size_t of_second = 0;
  for (int i = 0; i < 100; ++i) {
    const token_list piece = random_piece(texts, 3, token_id{2}, bits);
    if (piece == token_list{20}) {
      ++of_second;
    } else {
      REQUIRE_EQ(piece.size(), 3);
      CHECK((piece[0] == 10 || piece[0] == 11));
      CHECK_EQ(piece[2], piece[0] + 2);
    }
  }
  CHECK_GT(of_second, 20);
  CHECK_LT(of_second, 80);
}

TEST_CASE(
    "prompts have their text's category, begin with BOS, do not end in white space, and come again with the seed") {
  const temporary_folder folder;
  fs::create_directories(folder / "a");
  fs::create_directories(folder / "b");
  folder.put("a/1.txt", "alpha beta gamma delta epsilon zeta\n\n\n\neta theta");
  folder.put("b/1.txt", "int main() {\n    return 0;\n}\n");
  const corpus all = read_corpus({folder.path}, tiny());
  const corpus prompts = draw_prompts(all, {.each = 20, .length = 5, .seed = 7});
  CHECK(prompts.categories == all.categories);
  CHECK(prompts.texts_of_each() == std::vector<std::size_t>{20, 20});
  for (std::size_t p = 0; p < prompts.size(); ++p) {
    const token_list& prompt = prompts.tokens[p];
    CHECK_EQ(prompt[0], 2);
    CHECK_LE(prompt.size(), 6);
    const std::string text = tiny().decode(prompt);
    CHECK(all.content(prompts.category_of[p]).find(text) != std::string::npos);
    if (prompt.size() > 2) CHECK(std::string{" \n\t"}.find(text.back()) == std::string::npos);
  }
  CHECK(draw_prompts(all, {.each = 20, .length = 5, .seed = 7}).tokens == prompts.tokens);
  CHECK(draw_prompts(all, {.each = 20, .length = 5, .seed = 8}).tokens != prompts.tokens);
}

TEST_CASE("every second text is measured, and the halves of a category's only text are not the same") {
  const temporary_folder folder;
  fs::create_directories(folder / "many");
  fs::create_directories(folder / "one");
  const auto text = [](char letter) { return std::string(30, letter) + " " + std::string(30, letter); };
  for (const char letter : {'p', 'q', 'r', 's', 't'}) folder.put(std::string{"many/"} + letter + ".txt", text(letter));
  folder.put("one/u.txt", text('u'));
  corpus found = find_corpus({folder.path});
  found.words = tiny();

  const corpus_halves halves = read_halves(found);
  const auto ids = [&](char letter) { return tiny().encode(text(letter)); };
  CHECK(halves.scoring.tokens_by_category()[0] == token_batch{ids('p'), ids('r'), ids('t')});
  CHECK(halves.measured.tokens_by_category()[0] == token_batch{ids('q'), ids('s')});
  CHECK(halves.contents[0] == std::vector<std::string>{text('p'), text('r'), text('t')});
  REQUIRE_EQ(halves.scoring.tokens_in(1).size(), 1);
  REQUIRE_EQ(halves.measured.tokens_in(1).size(), 1);
  token_list both = halves.scoring.tokens_in(1)[0];
  const token_list& second = halves.measured.tokens_in(1)[0];
  CHECK_EQ(second[0], 2);
  both.insert(both.end(), second.begin() + 1, second.end());
  CHECK(both == ids('u'));

  const corpus_halves swapped = read_halves(found, {.swapped = true});
  CHECK(swapped.scoring.tokens_by_category()[0] == halves.measured.tokens_by_category()[0]);
  CHECK(swapped.measured.tokens_by_category() == halves.scoring.tokens_by_category());
  CHECK(swapped.scoring.tokens_in(1)[0] == second);

  const std::size_t size = ids('p').size() - 1;
  const corpus_halves few = read_halves(found, {.scoring_tokens = size + 3, .measured_texts = 1, .content_bytes = 1});
  CHECK_EQ(few.scoring.tokens_in(0).size(), 2);
  CHECK_EQ(few.scoring.tokens_in(0)[1].size(), 4);  // cut
  CHECK_EQ(few.measured.tokens_in(0).size(), 1);
  CHECK_EQ(few.contents[0].size(), 1);
  CHECK_THROWS_AS((void)read_halves(found, {.shortest = 1000}), bad_input);
}

TEST_CASE("a copy of a text is refused, shared passages are found, other texts are independent") {
  const temporary_folder folder;
  for (const char* name : {"a", "b"}) fs::create_directories(folder / name);
  std::mt19937_64 bits{2};
  const auto letters = [&](std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) text += static_cast<char>(bits() % 10 == 0 ? ' ' : 'a' + bits() % 26);
    return text;
  };
  corpus found;
  const auto look = [&] {
    found = find_corpus({folder.path});
    found.words = tiny();
    return survey(found);
  };
  const std::string passage = letters(2000);
  folder.put("a/1.txt", letters(3000));
  folder.put("a/2.txt", letters(3000) + passage);
  folder.put("b/1.txt", passage + letters(1000));
  folder.put("b/2.txt", letters(5));
  const text_survey some = look();
  REQUIRE_EQ(some.lengths.size(), 4);
  CHECK(some.lengths[3] <= 5);
  CHECK(some.lengths[0] > 1000);
  REQUIRE_EQ(some.shared.size(), 2);
  CHECK_EQ(some.shared[0].text, 2);
  CHECK_EQ(some.shared[0].other, 1);
  CHECK(some.shared[0].share == doctest::Approx(2.0 / 3).epsilon(0.1));
  CHECK(some.shared[1].share == doctest::Approx(2.0 / 5).epsilon(0.1));
  CHECK(shared_passages(some, found).starts_with("2 of 4 texts share passages of 32 tokens with others (b/1 6"));
  CHECK(shared_passages(some, found).ends_with(" % of them, with a/2)"));
  CHECK_EQ(shared_passages({}, found), "");
  folder.put("b/3.txt", passage + letters(10));
  folder.put("b/4.txt", content_of(folder / "a/1.txt"));
  CHECK_THROWS_WITH_AS((void)look(), doctest::Contains("a copy of"), bad_input);
}
