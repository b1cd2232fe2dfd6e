// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <optscope/tokenizer/token_lists.hpp>
#include <optscope/tokenizer/tokenizer.hpp>
#include <random>

#include "golden_files.hpp"

using namespace optscope;
using namespace tokenizer_tests;

namespace {

std::string refusal(const tiny_folder& folder) {
  return message_of<tokenizer_error>([&] { tokenizer words{folder.path}; });
}

std::string replaced(std::string text, std::string_view from, std::string_view to) {
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

TEST_CASE("a broken vocab.json is refused with file, entry, expected and found") {
  const tiny_folder folder;
  const std::string vocab = content_of(folder / "vocab.json");
  const auto with = [&](std::string_view content) {
    folder.put("vocab.json", content);
    const std::string message = refusal(folder);
    CHECK_CONTAINS(message, "vocab.json: ");
    return message;
  };
  CHECK_CONTAINS(with(""), "an empty file");
  CHECK_CONTAINS(with("{"), "expected JSON");
  CHECK_CONTAINS(with("[1, 2]"), "found a list");
  CHECK_CONTAINS(with("{}"), "an entry for every byte");
  CHECK_CONTAINS(with(vocab.substr(0, vocab.size() / 2)), "expected JSON");
  CHECK_CONTAINS(with(vocab + "x"), "expected JSON");
  CHECK_CONTAINS(with("\xff" + vocab), "expected JSON");
  CHECK_CONTAINS(with("version https://git-lfs.github.com/spec/v1\n"), "expected JSON");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": 0")), "entry \"<pad>\": expected a unique id");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": 600")), "expected an id from 0 to 599");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": -1")), "found -1");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": 4294967297")), "found 4294967297");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": 1.5")), "found 1.5");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": \"1\"")), "found the string \"1\"");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\"", "\"<s>\"")), "duplicate key \"<s>\"");
  CHECK_CONTAINS(with(replaced(vocab, "\"Ġ\"", "\"missing\"")), "none for byte 32");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": 1e30")), "found 1e+30");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": 99999999999999999999")), "found 1e+20");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": [1]")), "found a list");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"<pad>\": 1, \"<pad>\": 1")), "id");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\"", std::string_view{"\"<p\0d>\"", 7})), "expected JSON");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\"", "\"\\ud800\"")), "expected JSON");  // half a character
  CHECK_CONTAINS(with("\xef\xbb\xbf" + vocab), "found a byte order mark before it");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", "\"\\u001b[2J\\n\": -1")), "entry \"\\x1b[2J\\x0a\": expected");
  CHECK_CONTAINS(with(replaced(vocab, "\"<pad>\": 1", '"' + std::string(1 << 20, 'x') + "\": -1")), "xxx...\"");
  CHECK_CONTAINS(with(std::string(1 << 20, '[')), "expected JSON");
}

TEST_CASE("a broken merges.txt is refused with its line") {
  const tiny_folder folder;
  const std::string merges = content_of(folder / "merges.txt");
  const std::size_t second = merges.find('\n') + 1;
  const auto with = [&](std::string_view line) {
    folder.put("merges.txt", std::string{merges}.insert(second, std::string{line} + "\n"));
    const std::string message = refusal(folder);
    CHECK_CONTAINS(message, "merges.txt: line 2: ");
    return message;
  };
  CHECK_CONTAINS(with(""), "found \"\"");
  CHECK_CONTAINS(with("a"), "two entries");
  CHECK_CONTAINS(with("a b c"), "two entries");
  CHECK_CONTAINS(with(" a"), "two entries");
  CHECK_CONTAINS(with("a "), "two entries");
  CHECK_CONTAINS(with("a\tb"), "two entries");
  CHECK_CONTAINS(with("a zzzz"), "found \"zzzz\", which is not in it");
  CHECK_CONTAINS(with("z z"), "found \"zz\", which is not in it");
  CHECK_CONTAINS(with("\xff \xfe"), "found \"\\xff\", which is not in it");
  CHECK_CONTAINS(with(std::string_view{"a\0 b", 4}), "found \"a\\x00\", which is not in it");
  CHECK_CONTAINS(with("a\u00a0b"), "two entries");
  CHECK_CONTAINS(with("\ra b\r\r"), "which is not in it");
  CHECK_CONTAINS(with(std::string(100000, 'q') + " a"), "which is not in it");
  folder.put("merges.txt", merges + merges.substr(second, merges.find('\n', second) - second));
  CHECK_CONTAINS(refusal(folder), "each merge once");

  folder.put("merges.txt", merges);
  const token_list expected = tokenizer{folder.path}.encode("the matrix, row by row");
  std::string crlf;
  for (const char c : merges) crlf += c == '\n' ? std::string{"\r\n"} : std::string{c};
  for (const std::string& same : {crlf, merges.substr(second), merges.substr(0, merges.size() - 1)}) {
    folder.put("merges.txt", same);  // CR LF, no version line, no last line end
    CHECK(tokenizer{folder.path}.encode("the matrix, row by row") == expected);
  }
  folder.put("merges.txt", "\xef\xbb\xbf" + merges);
  CHECK_CONTAINS(refusal(folder), "line 1: expected entries of the vocabulary, found \"\ufeff#version:\"");
  folder.put("merges.txt", "");  // no merges at all: bytes
  CHECK_EQ(tokenizer{folder.path}.encode("the").size(), 3);
}

TEST_CASE("broken settings files are refused with file and key") {
  const tiny_folder folder;
  const auto with = [&](const char* name, std::string_view content) {
    folder.put(name, content);
    const std::string message = refusal(folder);
    CHECK_CONTAINS(message, std::string{name} + ": ");
    fs::remove(folder / name);
    return message;
  };
  const char* config = "tokenizer_config.json";
  CHECK_CONTAINS(with(config, "nonsense"), "expected JSON");
  CHECK_CONTAINS(with(config, "[]"), "found a list");
  CHECK_CONTAINS(with(config, R"({"add_bos_token": "yes"})"), "add_bos_token: expected true or false");
  CHECK_CONTAINS(with(config, R"({"bos_token": 5})"), "key \"bos_token\": expected a token, found 5");
  CHECK_CONTAINS(with(config, R"({"bos_token": ""})"), "found an empty string");
  CHECK_CONTAINS(with(config, R"({"bos_token": {"id": 1}})"), "a token with \"content\"");
  CHECK_CONTAINS(with(config, R"({"pad_token": {"content": "<pad>", "lstrip": 1}})"), "lstrip: expected true or false");
  CHECK_CONTAINS(with(config, R"({"tokenizer_class": "LlamaTokenizer"})"), "GPT2Tokenizer");
  CHECK_CONTAINS(with(config, R"({"added_tokens_decoder": {"x": {"content": "a"}}})"), "token ids as keys");
  CHECK_CONTAINS(with(config, R"({"added_tokens_decoder": {"700": {"content": "<new>"}}})"), "expected id 600");
  CHECK_CONTAINS(with(config, R"({"added_tokens_decoder": {"5": {"content": "<pad>"}}})"),
                 "expected id 1 as in the vocabulary");
  CHECK_CONTAINS(with("special_tokens_map.json", "3"), "found 3");
  CHECK_CONTAINS(with("added_tokens.json", R"({"<new>": 9000000000})"), "expected a token id");
  CHECK_CONTAINS(with("added_tokens.json", R"({"<new>": -1})"), "expected a token id");
  CHECK_CONTAINS(with("added_tokens.json", R"({"<new>": 2147483647})"),
                 "expected id 600, the next after the vocabulary");
  CHECK_CONTAINS(with("added_tokens.json", R"({"": 600})"), "found an empty string");
  CHECK_CONTAINS(with("added_tokens.json", R"({"<new>": 600, "<newer>": 600})"), "expected a unique id, found 600");
  CHECK_CONTAINS(with("added_tokens.json", R"({"<new>": 600, "<new>": 600})"), "duplicate key \"<new>\"");
  CHECK_CONTAINS(with("added_tokens.json", "{\"" + std::string(1001, 'x') + "\": 600}"), "at most 1000 bytes");
  CHECK_CONTAINS(with(config, R"({"add_bos_token": true, "add_bos_token": false})"), "duplicate key");
  CHECK_CONTAINS(with(config, R"({"added_tokens_decoder": {"600": {"content": "a<"}, "0600": {"content": "b<"}}})"),
                 "expected a unique id, found 600 twice");
  CHECK_CONTAINS(with(config, R"({"added_tokens_decoder": {"600": {"content": ""}}})"), "found an empty string");
  CHECK_CONTAINS(with(config, R"({"added_tokens_decoder": {"4294967296": {"content": "x<"}}})"), "token ids as keys");
  CHECK_CONTAINS(with(config, R"({"add_bos_token": 1e400})"), "add_bos_token: expected true or false, found 1e400");
  CHECK_CONTAINS(with(config, "\xef\xbb\xbf{}"), "a byte order mark");
  CHECK_CONTAINS(with(config, R"({"tokenizer_class": "\n\u009b"})"), R"(found "\x0a\xc2\x9b")");
}

TEST_CASE("settings that are links to nothing or to themselves, folders or pipes are refused by name") {
  const tiny_folder folder;
  for (const char* name : {"tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json"}) {
    fs::remove(folder / name);
    const auto found = [&] {
      const std::string message = message_of<file_error>([&] { tokenizer{folder.path}; });
      fs::remove(folder / name);
      CHECK_CONTAINS(message, std::string{name} + ": expected a re");
      return message;
    };
    fs::create_symlink("gone", folder / name);
    CHECK_CONTAINS(found(), "found a broken link");
    fs::create_symlink(name, folder / name);
    CHECK_CONTAINS(found(), "found Too many levels");
    fs::create_directory(folder / name);
    CHECK_CONTAINS(found(), "found a folder");
    REQUIRE_EQ(::mkfifo((folder / name).c_str(), 0600), 0);
    CHECK_CONTAINS(found(), "found a device, pipe or socket");
  }
}

TEST_CASE("integers too wide for 64 bits, which transformers writes for model_max_length, are accepted") {
  const tiny_folder folder;
  folder.put(
      "tokenizer_config.json",
      R"({"a": "\\\"99999999999999999999", "c": [NaN, Infinity, -Infinity, 1e400], "model_max_length": 1000000000000000019884624838656,
                   "b": [-1000000000000000019884624838656, 0.12345678901234567890123, 1e00000000000000000000001,
                   18446744073709551616, 9223372036854775808], "bos_token": "<s>", "add_bos_token": true})");
  CHECK_EQ(tokenizer{folder.path}.encode("").size(), 1);
}

TEST_CASE("a folder without a tokenizer is refused") {
  const tiny_folder folder;
  CHECK_CONTAINS(message_of<file_error>([&] { tokenizer{folder / "missing"}; }), "expected a model folder");
  CHECK_CONTAINS(message_of<file_error>([&] { tokenizer{folder / "vocab.json"}; }), "found a file");
  fs::remove(folder / "merges.txt");
  CHECK_CONTAINS(message_of<file_error>([&] { tokenizer{folder.path}; }), "merges.txt: expected a readable file");
  fs::remove(folder / "vocab.json");
  CHECK_CONTAINS(message_of<file_error>([&] { tokenizer{folder.path}; }),
                 "tokenizer.json, or vocab.json and merges.txt");
  CHECK_FALSE(tokenizer::present_in(folder.path));
}

TEST_CASE("a tokenizer.json with what OPT's tokenizers do not have is refused by name") {
  const tiny_folder folder;
  const std::string good =
      whole_tokenizer(folder.path, R"({"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel"}})", true);
  const auto with = [&](std::string_view from, std::string_view to) {
    folder.put("tokenizer.json", replaced(good, from, to));
    const std::string message = refusal(folder);
    CHECK_CONTAINS(message, "tokenizer.json: ");
    return message;
  };
  folder.put("tokenizer.json", good);
  CHECK_EQ(refusal(folder), "no exception");
  const char* model = "\"type\": \"BPE\"";
  CHECK_CONTAINS(with(good, "{}"), "model: expected a BPE model, found no such key");
  CHECK_CONTAINS(with(model, R"("type": "Unigram")"), "model.type: expected \"BPE\", found the string \"Unigram\"");
  CHECK_CONTAINS(with(model, R"("dropout": 0.1)"), "model.dropout: expected null, found 0.1");
  CHECK_CONTAINS(with(model, R"("ignore_merges": true)"), "model.ignore_merges: expected false");
  CHECK_CONTAINS(with(model, R"("end_of_word_suffix": "</w>")"), "end_of_word_suffix: expected null");
  CHECK_CONTAINS(with(model, R"("continuing_subword_prefix": "##")"), "continuing_subword_prefix: expected null");
  CHECK_CONTAINS(with("\"vocab\": {", "\"vocab\": {\"more\": 700, "),
                 "model.vocab: entry \"more\": expected an id from 0");
  CHECK_CONTAINS(with("\"merges\": [", "\"merges\": [\"a b c\", "), "model.merges, item 0: expected two entries");
  CHECK_CONTAINS(with("\"merges\": [", "\"merges\": [[\"a\"], "), "model.merges, item 0: expected two entries");
  CHECK_CONTAINS(with("\"merges\": [", "\"merges\": [[\"a\", \"qqq\"], "), "found \"qqq\", which is not in it");
  CHECK_CONTAINS(with("\"merges\"", "\"others\""), "model.merges: expected a list of merges, found no such key");
  const char* split = R"({"type": "ByteLevel"})";
  CHECK_CONTAINS(with(split, "null"), "pre_tokenizer: expected ByteLevel, as OPT has it, found null");
  CHECK_CONTAINS(with(split, R"({"type": "Metaspace"})"),
                 "pre_tokenizer: expected ByteLevel, as OPT has it, found Metaspace");
  CHECK_CONTAINS(with(split, R"({"type": "ByteLevel", "use_regex": false})"), "pre_tokenizer.use_regex: expected true");
  CHECK_CONTAINS(with(split, R"({"type": "Sequence", "pretokenizers": [{"type": "Split"}, {"type": "ByteLevel"}]})"),
                 "a sequence of 2");
  const auto also = [&](const std::string& part) { return with("{\"model\"", "{" + part + ", \"model\""); };
  CHECK_CONTAINS(also(R"("normalizer": {"type": "NFC"})"), "normalizer: expected null, found NFC");
  CHECK_CONTAINS(also(R"("normalizer": {"type": "Sequence", "normalizers": [{"type": "Lowercase"}]})"),
                 "normalizer: expected null");
  folder.put("tokenizer.json",
             replaced(good, "{\"model\"", R"({"normalizer": {"type": "Sequence", "normalizers": []}, "model")"));
  CHECK_EQ(refusal(folder), "no exception");
  CHECK_CONTAINS(also(R"("decoder": {"type": "WordPiece"})"), "decoder: expected ByteLevel");
  CHECK_CONTAINS(also(R"("post_processor": {"type": "BertProcessing"})"), "expected TemplateProcessing or ByteLevel");
  const auto put_around = [&](const char* single) {
    return also(
        R"("post_processor": {"type": "TemplateProcessing", "special_tokens": {"a": {"ids": [700]}}, "single": )" +
        std::string{single} + "}");
  };
  CHECK_CONTAINS(put_around("[]"), "single: expected the text once, found 0 times");
  CHECK_CONTAINS(put_around(R"([{"Sequence": {}}, {"Sequence": {}}])"),
                 "single: expected the text once, found 2 times");
  CHECK_CONTAINS(put_around(R"([{"SpecialToken": {"id": "b"}}, {"Sequence": {}}])"),
                 "special_tokens.b: expected the ids of a token");
  CHECK_CONTAINS(put_around(R"([{"SpecialToken": {"id": "a"}}, {"Sequence": {}}])"),
                 "post_processor: expected ids below 600, found 700");
  CHECK_CONTAINS(also(R"("added_tokens": [{"id": 601, "content": "x<"}])"), "token \"x<\": expected id 600, the next");
  CHECK_CONTAINS(also(R"("added_tokens": [{"content": "x<"}])"), "added_tokens, item 0.id: expected a token id");
  CHECK_CONTAINS(also(R"("added_tokens": [{"id": 600, "content": "x<", "rstrip": "no"}])"),
                 "rstrip: expected true or false");
}

TEST_CASE("a damaged file is either refused or read") {
  const tiny_folder folder;
  std::mt19937 random{5};
  for (const char* name : {"vocab.json", "merges.txt"}) {
    const std::string good = content_of(folder / name);
    for (int round = 0; round < 300; ++round) {
      std::string bad = good;
      for (int i = 0; i < 1 + round % 4; ++i) bad[random() % bad.size()] = static_cast<char>(random());
      if (round % 5 == 0) bad.resize(random() % bad.size());
      folder.put(name, bad);
      try {
        const tokenizer words{folder.path};
        CHECK_EQ(words.decode(words.encode("over the river and back")), "over the river and back");
      } catch (const tokenizer_error& e) {
        CHECK_CONTAINS(e.what(), folder.path.string());
      }
    }
    folder.put(name, good);
  }
}

TEST_CASE("lists of token ids are read strictly") {
  const tiny_folder folder;
  const auto with = [&](std::string_view content) {
    folder.put("ids.json", content);
    return message_of<bad_input>([&] { (void)read_token_lists(folder / "ids.json"); });
  };
  CHECK_CONTAINS(with("[]"), "at least one list");
  CHECK_CONTAINS(with("[[1], []]"), "list 1: expected at least one token id, found an empty list");
  CHECK_CONTAINS(with("{\"a\": 1}"), "found an object");
  CHECK_CONTAINS(with("[[1, -2]]"), "list 0, item 1: expected a token id, found -2");
  CHECK_CONTAINS(with("[[1, 2.0]]"), "item 1: expected a token id, found 2.0");
  CHECK_CONTAINS(with("[[1, \"2\"]]"), "found the string \"2\"");
  CHECK_CONTAINS(with("[[1, 2147483648]]"), "found 2147483648");
  CHECK_CONTAINS(with("[[1, 99999999999999999999999]]"), "list 0, item 1: expected a token id, found 9.99");
  CHECK_CONTAINS(with("[[1, NaN]]"), "list 0, item 1: expected a token id, found NaN");
  CHECK_CONTAINS(with("[[1, 1e400]]"), "list 0, item 1: expected a token id, found 1e400");
  CHECK_CONTAINS(with("[[1, null]]"), "found null");
  CHECK_CONTAINS(with("[[1, [2]]]"), "found a list");
  CHECK_CONTAINS(with("[[1], 2]"), "list 1: expected a list of token ids, found 2");
  CHECK_CONTAINS(with("[[1]] [[2]]"), "expected JSON");
  CHECK_CONTAINS(with("[[1,]]"), "expected JSON");
  CHECK_CONTAINS(with("\xef\xbb\xbf[[1]]"), "a byte order mark");
  CHECK_CONTAINS(with(std::string_view{"[[1]]\0", 6}), "expected JSON");
  CHECK_CONTAINS(with("[[1, 2]"), "expected JSON");
  CHECK_CONTAINS(with(""), "an empty file");
  CHECK_CONTAINS(with(std::string(5000, '[')), "expected JSON");
  CHECK_EQ(with(" [[2, 100, 2147483647], [0]]\n"), "no exception");
  CHECK(read_token_lists(folder / "ids.json") == token_batch{{2, 100, 2147483647}, {0}});

  // A list per line, as the program `tokens` prints them.
  const auto read = [&](std::string_view content) {
    folder.put("ids.json", content);
    return read_token_lists(folder / "ids.json");
  };
  CHECK(read("[2,43]\n") == token_batch{{2, 43}});
  CHECK(read("[2,\n 43\n]") == token_batch{{2, 43}});
  CHECK(read("[2,43]\n[5]\r\n\n [6, 7]") == token_batch{{2, 43}, {5}, {6, 7}});
  CHECK_CONTAINS(with("[1]\n[2, -1]\n"), "line 2, item 1: expected a token id, found -1");
  CHECK_CONTAINS(with("[1]\n[]\n"), "line 2: expected at least one token id, found an empty list");
  CHECK_CONTAINS(with("[]\n[1]\n"), "line 1: expected at least one token id, found an empty list");
  CHECK_CONTAINS(with("[1]\n[2\n[3]"), "line 2, line 1, column 3: expected JSON, found its end");
  CHECK_CONTAINS(with("[1]\n2\n[3]"), "line 2: expected a list of token ids, found 2");
  CHECK_CONTAINS(with("[1, [2]]"), "item 1: expected a token id, found a list");
}
