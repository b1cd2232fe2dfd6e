// SPDX-License-Identifier: MIT
// What texts and files of a tokenizer can cost: memory goes with their length, and so does time (long_files.hpp).
#include <doctest/doctest.h>

#include <optscope/tokenizer/token_lists.hpp>
#include <optscope/tokenizer/tokenizer.hpp>

#include "count_memory.hpp"
#include "golden_files.hpp"
#include "long_files.hpp"

using namespace optscope;
using namespace tokenizer_tests;

namespace {
std::string repeated(std::string_view part, std::size_t bytes) {
  std::string all;
  all.reserve(bytes + part.size());
  while (all.size() < bytes) all += part;
  return all;
}

/// Runs `call` on `bytes` of input within 100 times their memory.
template <class Call>
void affordable(const std::string& what, std::size_t bytes, Call&& call) {
  const std::size_t peak = memory::peak_of(call);
  INFO(what << ": " << bytes << " bytes took " << peak << " bytes of memory");
  CHECK_LT(peak, 100 * bytes);
}
}  // namespace

TEST_CASE("megabytes of any text become ids and the same text again") {
  const tokenizer words{goldens / "tiny"};
  const auto there_and_back = [&](std::string_view part, std::size_t bytes) {
    const std::string text = repeated(part, bytes) + "x";
    affordable(std::string{part}, text.size(), [&] {
      const token_list ids = words.encode(text);
      REQUIRE(words.decode(std::span{ids}.subspan(1), false) == text);
    });
  };
  for (const char* part : {"a", " ", "'", "\u0301"}) there_and_back(part, long_file);
  for (const char* part : {"\n", " \n", "!", "7", "\u00e9", "\u6f22", "\u3000", "t", "a\u0301", "'s", "' ", "'l",
                           "the ", "<", "</s", "</s>", "\U0001F642", "\u200d", "!a1 "}) {
    there_and_back(part, long_text);
  }
  there_and_back({"\0", 1}, long_text);
}

TEST_CASE("a merges.txt of line ends alone, or of one line, is refused without allocating more than the file") {
  const tiny_folder folder;
  for (const std::string_view part : {"\n", "a", " ", "a b\n", "#version\n", "\r\n"}) {
    folder.put("merges.txt", repeated(part, 10 * mega));
    affordable(std::string{part}, 10 * mega, [&] {
      const std::string message = message_of<tokenizer_error>([&] { tokenizer{folder.path}; });
      CHECK(message.find(part == "#version\n" ? "no exception" : "merges.txt: line ") != std::string::npos);
    });
  }
}

TEST_CASE("vocabularies and settings of megabytes take time in proportion, also with many special tokens") {
  const tiny_folder folder;
  std::string vocab = content_of(folder / "vocab.json"), tokens = "{\"additional_special_tokens\": [\"x\"";
  vocab.resize(vocab.rfind('}'));
  std::size_t id = 600;
  while (vocab.size() < long_file) {
    vocab += ", \"w" + std::to_string(id) + "\": " + std::to_string(id);
    ++id;
  }
  // Tokens with a common beginning, and a text that repeats it everywhere.
  const std::string start(60, '<');
  for (int i = 0; tokens.size() < long_file; ++i) tokens += ", \"" + start + std::to_string(i) + "\"";
  folder.put("vocab.json", vocab + "}");
  folder.put("special_tokens_map.json", tokens + "]}");
  const std::string text = std::string(long_text, '<') + "17 and " + start + "17";
  affordable("files", 2 * long_file, [&] {
    const tokenizer words{folder.path};
    CHECK_GT(words.size(), id + long_file / 100);
    const token_list ids = words.encode(text);
    CHECK_EQ(words.decode(std::span{ids}.last(1), false), start + "17");
    CHECK_EQ(words.decode(ids, false), text);
  });
}

TEST_CASE("megabytes of token ids are read in proportion") {
  const tiny_folder folder;
  folder.put("ids.json", "[[2" + repeated(",2", long_file) + "]]");
  affordable("one list", long_file, [&] { CHECK_GT(read_token_lists(folder / "ids.json")[0].size(), long_file / 2); });
  folder.put("ids.json", "[[2]" + repeated(",[2]", long_file) + "]");
  affordable("many lists", long_file, [&] { CHECK_GT(read_token_lists(folder / "ids.json").size(), long_file / 5); });
}
