// SPDX-License-Identifier: MIT
#pragma once
// tests/goldens/table.json: every kind of checkpoint, and what becomes of it.

#include <doctest/doctest.h>

#include <optscope/core/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "places.hpp"

struct row {
  std::string group, name, sentence;
  std::string folder;                          // below tests/goldens
  std::string golden;                          // the folder whose golden it has; its own unless the table says
  std::string refused;                         // what the exception says; empty: it loads
  std::vector<std::string> extra, not_finite;  // tensors that are reported
};

inline std::vector<row> read_table() {
  using namespace optscope;
  const json_file file = json_file::read(goldens + "table.json");
  std::vector<row> rows;
  std::vector<json_value> entries;
  REQUIRE(json_object{file, file.root()}.find("rows")->get(entries));
  for (const json_value& entry : entries) {
    const json_object each{file, entry};
    const auto text = [&](const char* key, const std::string& otherwise = "") {
      std::string_view value;
      const auto found = each.find(key);
      return found && found->get(value) ? std::string{value} : otherwise;
    };
    const auto list = [&](const char* key) {
      std::vector<std::string> values;
      std::vector<json_value> items;
      const auto found = each.find(key);
      if (!found || !found->get(items)) return values;
      for (const json_value& item : items) {
        std::string_view value;
        REQUIRE(item.get(value));
        values.emplace_back(value);
      }
      return values;
    };
    const std::string folder = text("folder") + "/" + text("name");
    rows.push_back({text("group"), text("name"), text("sentence"), folder, text("golden", folder), text("refused"),
                    list("extra"), list("not_finite")});
  }
  return rows;
}
