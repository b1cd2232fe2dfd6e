// SPDX-License-Identifier: MIT
#pragma once
// Parts of the documentation that are made from the code: a test fails where file and code differ.

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

/// Checks that the text of `file` (below the project) between `begin` and `end` is `text`; both empty: the whole
/// file. With OPTSCOPE_UPDATE set in the environment, writes it there instead.
inline void check_generated(const std::string& file, const std::string& begin, const std::string& end,
                            const std::string& text) {
  const std::string path = std::string{OPTSCOPE_SOURCE_DIR} + "/" + file;
  const std::string content{std::istreambuf_iterator<char>{std::ifstream{path}.rdbuf()}, {}};
  const std::size_t from = content.find(begin) + begin.size();
  const std::size_t to = end.empty() ? content.size() : content.find(end, from);
  REQUIRE_MESSAGE(content.find(begin) != std::string::npos, file << " has no " << begin);
  REQUIRE_MESSAGE(to != std::string::npos, file << " has no " << end);
  if (std::getenv("OPTSCOPE_UPDATE") != nullptr) {
    std::ofstream{path} << content.substr(0, from) << text << content.substr(to);
  } else {
    CHECK_MESSAGE(content.substr(from, to - from) == text,
                  file << " is out of date: run the test with OPTSCOPE_UPDATE=1");
  }
}
