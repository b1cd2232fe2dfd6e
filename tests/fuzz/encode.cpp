// SPDX-License-Identifier: MIT
// Any text: UTF-8 comes back from its ids, other bytes are refused at the first that is wrong.
#include <optscope/tokenizer/tokenizer.hpp>

#include "fuzz.hpp"

using namespace optscope;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tokenizer words{fuzz::goldens / "tokenizer/tiny"};
  const std::string_view text = fuzz::text_of(data, size);
  const auto wrong = utf8::first_error(text);
  try {
    const token_list ids = words.encode(text);
    fuzz::require(!wrong, "text that is not UTF-8 to be refused");
    fuzz::require(ids.size() <= size + 1 && ids.front() == words.bos(), "a BOS, then at most one id a byte");
    for (const token_id id : ids) {
      fuzz::require(id >= 0 && static_cast<std::size_t>(id) < words.size(), "ids of the vocabulary");
    }
    fuzz::require(words.decode(std::span{ids}.subspan(1), false) == text, "the text back from its ids");
  } catch (const tokenizer_error& refusal) {
    fuzz::require(wrong && refusal.item() == "byte " + std::to_string(*wrong), "the first wrong byte to be named");
  }
  return 0;
}
