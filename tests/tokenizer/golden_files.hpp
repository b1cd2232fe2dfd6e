// SPDX-License-Identifier: MIT
#pragma once
// What the tokenizer's tests share: goldens, folders made on the fly, and the wording of errors.

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <optscope/core/errors.hpp>
#include <optscope/core/output_file.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/json_file.ipp>
#include <string>
#include <string_view>

namespace tokenizer_tests {

namespace fs = std::filesystem;

inline const fs::path goldens = fs::path{OPTSCOPE_SOURCE_DIR} / "tests/goldens/tokenizer";
inline const fs::path opt_folder = fs::path{OPTSCOPE_SHARED_DIR} / "opt-tokenizer";
inline const fs::path demo_folder = fs::path{OPTSCOPE_SOURCE_DIR} / "examples/demo-model";

using golden_file = optscope::detail::json_file<optscope::bad_input>;

inline optscope::token_list ids_of(simdjson::dom::element list) {
  optscope::token_list ids;
  for (const auto id : list.get_array()) ids.push_back(static_cast<optscope::token_id>(id.get_int64().value()));
  return ids;
}
inline std::string string_of(simdjson::dom::element text) { return std::string{text.get_string().value()}; }

inline std::string content_of(const fs::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

/// A folder that is gone after the test; it begins with the tiny vocabulary's files.
class temporary_folder {
 public:
  temporary_folder() : path_{fs::temp_directory_path() / ("optscope-tokenizer-" + std::to_string(::getpid()))} {
    fs::remove_all(path_);
    fs::create_directory(path_);
    for (const char* name : {"vocab.json", "merges.txt"}) fs::copy(goldens / "tiny" / name, path_ / name);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() { fs::remove_all(path_); }

  [[nodiscard]] fs::path operator/(const std::string& name) const { return path_ / name; }
  [[nodiscard]] const fs::path& path() const { return path_; }
  void write(const std::string& name, std::string_view content) const { optscope::write_file(path_ / name, content); }

 private:
  fs::path path_;
};

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
