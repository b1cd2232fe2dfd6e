// SPDX-License-Identifier: MIT
#pragma once
// Bodies of token_lists.hpp.

#include <cstdint>
#include <limits>
#include <optscope/core/json.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <string>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE token_batch read_token_lists(const std::filesystem::path& path) {
  const json_file json = json_file::read(path);
  std::vector<json_value> lists;
  if (!json.root().get(lists)) json.refuse("", "a list of lists of token ids", json.root().description());
  token_batch batch;
  for (const json_value& each : lists) {
    const std::string item = "list " + std::to_string(batch.size());
    std::vector<json_value> list;
    if (!each.get(list)) json.refuse(item, "a list of token ids", each.description());
    token_list tokens;
    for (const json_value& value : list) {
      std::int64_t id = 0;
      if (!value.get(id) || id < 0 || id > std::numeric_limits<token_id>::max()) {
        json.refuse(item + ", item " + std::to_string(tokens.size()), "a token id", value.description());
      }
      tokens.push_back(static_cast<token_id>(id));
    }
    if (tokens.empty()) json.refuse(item, "at least one token id", "an empty list");
    batch.push_back(std::move(tokens));
  }
  if (batch.empty()) json.refuse("", "at least one list of token ids", "an empty list");
  return batch;
}

}  // namespace optscope
