// SPDX-License-Identifier: MIT
#pragma once
// What a program wrote into its summary.json, read by keys.
#include <cmath>
#include <filesystem>
#include <optscope/core/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reproduce {

using namespace optscope;
namespace fs = std::filesystem;

/// A value of a summary, reached by keys and places: `at("heads").at("separation").at(0)`. NaN and empty where the file
/// has null.
class summary {
 public:
  explicit summary(const fs::path& path) : file_{json_file::read(path)}, value_{file_.root()} {}

  [[nodiscard]] bool has(std::string_view key) const {
    return json_object{file_, value_, where_}.find(key).has_value();
  }
  [[nodiscard]] summary at(std::string_view key) const {
    const json_object object{file_, value_, where_};
    const auto found = object.find(key);
    if (!found) object.refuse(key, "what `study` or `tight_pass` write", "nothing");
    return {file_, *found, object.path_to(key)};
  }
  [[nodiscard]] std::vector<summary> list() const {
    std::vector<json_value> values;
    if (!value_.get(values)) file_.refuse(where_, "a list", value_.description());
    std::vector<summary> result;
    for (const json_value& each : values) result.push_back({file_, each, where_});
    return result;
  }
  [[nodiscard]] double real() const {
    double value = std::nan("");
    if (!value_.get(value) && !value_.is_null()) file_.refuse(where_, "a number", value_.description());
    return value;
  }
  [[nodiscard]] std::size_t count() const {
    std::uint64_t value = 0;
    if (!value_.get(value)) file_.refuse(where_, "a whole number", value_.description());
    return value;
  }
  [[nodiscard]] std::string text() const {
    std::string_view value;
    if (!value_.get(value)) file_.refuse(where_, "a text", value_.description());
    return std::string{value};
  }
  [[nodiscard]] bool is_true() const {
    bool value = false;
    return value_.get(value) && value;
  }
  [[nodiscard]] bool is_null() const { return value_.is_null(); }

 private:
  summary(json_file file, json_value value, std::string where)
      : file_{std::move(file)}, value_{value}, where_{std::move(where)} {}
  json_file file_;
  json_value value_;
  std::string where_;
};

}  // namespace reproduce
