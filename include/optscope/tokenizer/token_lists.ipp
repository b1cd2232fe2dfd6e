// SPDX-License-Identifier: MIT
#pragma once
// Bodies of token_lists.hpp.

#include <simdjson.h>

#include <cstdint>
#include <limits>
#include <optscope/core/errors.hpp>
#include <optscope/tokenizer/json_file.ipp>
#include <optscope/tokenizer/token_lists.hpp>
#include <string>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE token_batch read_token_lists(const std::filesystem::path& path) {
  const detail::json_file<bad_input> json{path};
  simdjson::dom::array lists;
  if (json.root().get(lists) != simdjson::SUCCESS) {
    throw bad_input{path.string(), "", "a list of lists of token ids", detail::described(json.root())};
  }
  token_batch batch;
  for (const simdjson::dom::element element : lists) {
    const std::string item = "list " + std::to_string(batch.size());
    simdjson::dom::array list;
    if (element.get(list) != simdjson::SUCCESS) {
      throw bad_input{path.string(), item, "a list of token ids", detail::described(element)};
    }
    token_list tokens;
    for (const simdjson::dom::element value : list) {
      std::int64_t id = 0;
      if (value.get(id) != simdjson::SUCCESS || id < 0 || id > std::numeric_limits<token_id>::max()) {
        throw bad_input{path.string(), item + ", item " + std::to_string(tokens.size()), "a token id",
                        detail::described(value)};
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
