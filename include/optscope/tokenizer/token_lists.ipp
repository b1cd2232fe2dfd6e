// SPDX-License-Identifier: MIT
#pragma once
// Bodies of token_lists.hpp.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/core/json.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/tokenizer/token_lists.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {
namespace detail {

[[nodiscard]] inline token_list read_token_list(const json_file& json, const json_value& value,
                                                const std::string& item) {
  std::vector<json_value> list;
  if (!value.get(list)) json.refuse(item, "a list of token ids", value.description());
  token_list tokens;
  for (const json_value& each : list) {
    std::int64_t id = 0;
    if (!each.get(id) || id < 0 || id > std::numeric_limits<token_id>::max()) {
      json.refuse(item + ", item " + std::to_string(tokens.size()), "a token id", each.description());
    }
    tokens.push_back(static_cast<token_id>(id));
  }
  if (tokens.empty()) json.refuse(item, "at least one token id", "an empty list");
  return tokens;
}

/// Whether a text begins with a list that does not begin with a list.
[[nodiscard]] inline bool begins_with_ids(std::string_view text) {
  constexpr std::string_view spaces = " \t\r\n";
  const std::size_t open = text.find_first_not_of(spaces);
  if (open == std::string_view::npos || text[open] != '[') return false;
  const std::size_t next = text.find_first_not_of(spaces, open + 1);
  return next != std::string_view::npos && text[next] != '[';
}

[[nodiscard]] inline token_batch read_lines_of_ids(const std::string& name, std::string_view text) {
  token_batch batch;
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    const std::string item = "line " + std::to_string(++number);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const json_file json = json_file::parse(name, item, line);
    batch.push_back(read_token_list(json, json.root(), item));
  }
  return batch;
}

}  // namespace detail

OPTSCOPE_INLINE token_batch read_token_lists(const std::filesystem::path& path) {
  const mapped_file file{path};
  const std::string_view text{reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  if (detail::begins_with_ids(text) && text.find(']') != text.rfind(']')) {
    return detail::read_lines_of_ids(path.string(), text);
  }
  const json_file json = json_file::parse(path.string(), "", text);
  std::vector<json_value> lists;
  if (!json.root().get(lists)) json.refuse("", "a list of lists of token ids", json.root().description());
  if (lists.empty()) json.refuse("", "at least one list of token ids", "an empty list");
  token_batch batch;
  if (detail::begins_with_ids(text)) {
    batch.push_back(detail::read_token_list(json, json.root(), "list 0"));
  } else {
    for (const json_value& each : lists) {
      batch.push_back(detail::read_token_list(json, each, "list " + std::to_string(batch.size())));
    }
  }
  return batch;
}

}  // namespace optscope
