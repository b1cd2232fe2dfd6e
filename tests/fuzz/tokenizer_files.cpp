// SPDX-License-Identifier: MIT
// Each file of a tokenizer next to good files of the other kinds: what is accepted gives ids of its vocabulary.
#include <optscope/tokenizer/byte_map.hpp>
#include <optscope/tokenizer/tokenizer.hpp>

#include "fuzz.hpp"

using namespace optscope;

/// The first byte, '0' to '5', says which file the others are.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const std::vector<std::string> names{
      "vocab.json",        "merges.txt",    "tokenizer_config.json", "special_tokens_map.json",
      "added_tokens.json", "tokenizer.json"};
  static fuzz::file file;
  static std::vector<fuzz::folder> folders(names.size());
  static const bool linked = [] {
    for (std::size_t i = 0; i < names.size(); ++i) {
      // The settings are read with bytes alone as vocabulary, which is quick.
      std::string vocabulary, merges;
      for (int byte = 0; byte < 256; ++byte) {
        const std::string symbol = byte_map::symbol(static_cast<unsigned char>(byte));
        vocabulary += (byte == 0 ? "{\"" : ", \"") + std::string{symbol == "\"" || symbol == "\\" ? "\\" : ""} +
                      symbol + "\": " + std::to_string(byte);
      }
      vocabulary += R"(, "ab": 256, "abc": 257, "Ġab": 258, "</s>": 259, "<pad>": 260})";
      merges = "#version: 0.2\na b\nab c\nĠ ab\n";
      folders[i].put("vocab.json", vocabulary);
      folders[i].put("merges.txt", merges);
      fuzz::fs::remove(folders[i].path / names[i]);
      folders[i].link(names[i], file);
    }
    return true;
  }();
  static_cast<void>(linked);
  if (size == 0) return 0;
  const std::size_t kind = static_cast<std::uint8_t>(data[0] - '0') % names.size();
  file.put(fuzz::text_of(data + 1, size - 1));
  fuzz::ends_or_refuses([&] {
    const tokenizer words{folders[kind].path};
    const std::string text = std::string(1, '\0') + " abc ab\n</s> caf\u00e9 <pad>abab";
    const token_list ids = words.encode(text);
    for (const token_id id : ids) {
      fuzz::require(id >= 0 && static_cast<std::size_t>(id) < words.size(), "ids of the vocabulary");
    }
    const std::string all = words.decode(ids, false);
    fuzz::require(all.find("caf\u00e9") != std::string::npos || kind >= 2, "the text in its ids");
    fuzz::require(words.decode(ids, true).size() <= all.size(), "special tokens to be left out");
  });
  return 0;
}
