// SPDX-License-Identifier: MIT
#pragma once
// Token ids from a JSON file: a list of lists.

#include <filesystem>
#include <limits>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/json_file.hpp>
#include <string>

namespace optscope {

/// Reads `[[2, 100, 47], [2, 4]]`: ids as they are, nothing added, no list empty. Throws `file_error` or `bad_input`,
/// which names list and item, counted from 0.
inline token_batch read_token_lists(const std::filesystem::path& path) {
  const json_file<bad_input> json{path};
  simdjson::dom::array lists;
  if (json.root().get(lists) != simdjson::SUCCESS) {
    throw bad_input{path.string(), "", "a list of lists of token ids", described(json.root())};
  }
  token_batch batch;
  for (const simdjson::dom::element element : lists) {
    const std::string item = "list " + std::to_string(batch.size());
    simdjson::dom::array list;
    if (element.get(list) != simdjson::SUCCESS) {
      throw bad_input{path.string(), item, "a list of token ids", described(element)};
    }
    token_list tokens;
    for (const simdjson::dom::element value : list) {
      std::int64_t id = 0;
      if (value.get(id) != simdjson::SUCCESS || id < 0 || id > std::numeric_limits<token_id>::max()) {
        throw bad_input{path.string(), item + ", item " + std::to_string(tokens.size()), "a token id",
                        described(value)};
      }
      tokens.push_back(static_cast<token_id>(id));
    }
    if (tokens.empty()) throw bad_input{path.string(), item, "at least one token id", "an empty list"};
    batch.push_back(std::move(tokens));
  }
  if (batch.empty()) throw bad_input{path.string(), "", "at least one list of token ids", "an empty list"};
  return batch;
}

}  // namespace optscope
