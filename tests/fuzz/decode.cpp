// SPDX-License-Identifier: MIT
// Any ids: text of them is UTF-8; lists of ids as JSON are read or refused.
#include <cstring>
#include <optscope/tokenizer/token_lists.hpp>
#include <optscope/tokenizer/tokenizer.hpp>

#include "fuzz.hpp"

using namespace optscope;

/// A first byte of '[' begins a JSON file, any other begins ids of two bytes.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const tokenizer words{fuzz::goldens / "tokenizer/tiny"};
  static fuzz::file file;
  token_batch batch(1);
  fuzz::ends_or_refuses([&] {
    if (size != 0 && data[0] == '[') {
      file.put(fuzz::text_of(data, size));
      batch = read_token_lists(file.path());
    } else {
      for (std::size_t i = 0; i + 1 < size; i += 2) {
        std::int16_t id = 0;
        std::memcpy(&id, data + i, sizeof id);
        batch[0].push_back(id % 700);  // some negative, some past the vocabulary
      }
    }
    for (const token_list& ids : batch) {
      std::string pieces;
      for (const token_id id : ids) pieces += words.piece(id);
      const std::string all = words.decode(ids, false), text = words.decode(ids);
      fuzz::require(!utf8::first_error(all) && !utf8::first_error(text), "text that is UTF-8");
      fuzz::require(text.size() <= all.size() && all.size() <= 3 * pieces.size(), "no more text than ids have");
    }
  });
  return 0;
}
