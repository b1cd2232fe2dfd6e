// SPDX-License-Identifier: MIT
#pragma once
// What the tokenizer's tests share: goldens, folders made on the fly, and the wording of errors.

#include <doctest/doctest.h>
#include <simdjson.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optscope/core/errors.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/tokens.hpp>
#include <string>
#include <string_view>

#include "temporary_folder.hpp"

namespace tokenizer_tests {

namespace fs = std::filesystem;

inline const fs::path goldens = fs::path{OPTSCOPE_SOURCE_DIR} / "tests/goldens/tokenizer";
inline const fs::path opt_folder = fs::path{OPTSCOPE_SHARED_DIR} / "opt-tokenizer";
inline const fs::path demo_folder = fs::path{OPTSCOPE_SOURCE_DIR} / "examples/demo-model";

class golden_file {
 public:
  explicit golden_file(const fs::path& path) : root_{parser_.load(path.string()).value()} {}
  [[nodiscard]] simdjson::dom::element root() const { return root_; }

 private:
  simdjson::dom::parser parser_;
  simdjson::dom::element root_;
};

inline optscope::token_list ids_of(simdjson::dom::element list) {
  optscope::token_list ids;
  for (const auto id : list.get_array()) ids.push_back(static_cast<optscope::token_id>(id.get_int64().value()));
  return ids;
}
inline std::string string_of(simdjson::dom::element text) { return std::string{text.get_string().value()}; }

/// A folder with the tiny vocabulary's files.
struct tiny_folder : temporary_folder {
  tiny_folder() {
    for (const char* name : {"vocab.json", "merges.txt"}) fs::copy(goldens / "tiny" / name, path / name);
  }
};

/// The text of a tokenizer.json with the vocabulary and the merges that `folder` has in files, as pairs or as strings;
/// `rest` is the rest of it.
inline std::string whole_tokenizer(const fs::path& folder, std::string rest, bool pairs) {
  std::string merges;
  const auto add = [&](std::string_view text) {
    for (const char c : text) merges += c == '"' || c == '\\' ? std::string{'\\', c} : std::string{c};
  };
  std::ifstream lines{folder / "merges.txt"};
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("#version")) continue;
    const std::size_t space = line.find(' ');
    merges += merges.empty() ? "" : ", ";
    merges += pairs ? "[\"" : "\"";
    add(line.substr(0, space));
    merges += pairs ? "\", \"" : " ";
    add(line.substr(space + 1));
    merges += pairs ? "\"]" : "\"";
  }
  const std::string_view key = "\"model\": {";
  const std::size_t place = rest.find(key);
  REQUIRE(place != std::string::npos);
  return rest.insert(place + key.size(),
                     "\"vocab\": " + content_of(folder / "vocab.json") + ", \"merges\": [" + merges + "], ");
}

/// The message of the `Error` that `body` throws; says what happened otherwise.
template <class Error, class Body>
std::string message_of(Body&& body) {
  try {
    body();
  } catch (const Error& e) {
    return e.what();
  } catch (const std::exception& e) {
    return std::string{"another exception: "} + e.what();
  }
  return "no exception";
}

#define CHECK_CONTAINS(text, part)                                             \
  do {                                                                         \
    const std::string text_checked = (text);                                   \
    CHECK_MESSAGE(text_checked.find(part) != std::string::npos, text_checked); \
  } while (false)

}  // namespace tokenizer_tests
