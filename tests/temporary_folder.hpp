// SPDX-License-Identifier: MIT
#pragma once
// A folder for the files of one test.

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <system_error>

/// A new, empty folder with a name that no other test has; it is removed with all that is in it at the end of its
/// scope.
struct temporary_folder {
  temporary_folder() {
    std::string name = (std::filesystem::temp_directory_path() / "optscope-test-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::system_error{errno, std::generic_category(), name};
    path = std::filesystem::canonical(name);
  }
  temporary_folder(const temporary_folder&) = delete;
  temporary_folder& operator=(const temporary_folder&) = delete;
  ~temporary_folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }

  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return path / name; }

  /// Writes a file in the folder, whose name is given back.
  std::filesystem::path put(const std::string& name, std::string_view bytes) const {
    std::ofstream{path / name, std::ios::binary} << bytes;
    return path / name;
  }

  std::filesystem::path path;
};

/// All bytes of a file; none if it cannot be read.
inline std::string content_of(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}
