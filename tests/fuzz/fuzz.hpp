// SPDX-License-Identifier: MIT
#pragma once
// What the fuzz targets share: files in memory, and what has to hold whatever is in them.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optscope/checkpoint/stored_tensor.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/utf8.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "checkpoint/made_files.hpp"
#include "temporary_folder.hpp"

namespace fuzz {

namespace fs = std::filesystem;
inline const fs::path goldens = fs::path{OPTSCOPE_SOURCE_DIR} / "tests/goldens";

/// Ends the process if something does not hold; the fuzzer then saves the input.
inline void require(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what.c_str());
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

/// `call` ends, or throws what the library throws on bad input, with a message that can be shown: short, one line of
/// UTF-8. Anything else ends the process.
template <class Call>
void ends_or_refuses(Call&& call) {
  try {
    call();
  } catch (const optscope::bad_input& refusal) {
    const std::string message = refusal.what();
    const bool controls = std::any_of(message.begin(), message.end(),
                                      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; });
    require(!controls && !optscope::utf8::first_error(message), "a message of one line of UTF-8: " + message);
    require(message.size() < 2000, "a short message: " + message);
    const bool compares = !refusal.expected().empty() && !refusal.found().empty();
    const bool names = refusal.expected().empty() && refusal.found().empty() && !refusal.item().empty();
    require(compares || names, "expected and found, or what is wrong alone, in: " + message);
  }
}

/// A file in memory under a path.
class file {
 public:
  file() : fd_{::memfd_create("fuzz", 0)} { require(fd_ >= 0, "a file in memory"); }
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  ~file() { ::close(fd_); }

  void put(std::string_view bytes) {
    const bool done =
        ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, bytes.data(), bytes.size(), 0) == static_cast<ssize_t>(bytes.size());
    require(done, "a file in memory that can be written");
  }
  [[nodiscard]] fs::path path() const { return "/proc/self/fd/" + std::to_string(fd_); }

 private:
  int fd_;
};

/// A folder with links to files in memory; it is gone afterwards.
struct folder : temporary_folder {
  void link(const std::string& name, const file& target) { fs::create_symlink(target.path(), path / name); }
};

/// Reads values of every tensor; all of those that are small.
inline void touch(const optscope::stored_tensor& tensor) {
  const std::size_t width = tensor.row_size(), rows = tensor.rows();
  if (tensor.size() == 0) return;
  if (tensor.size() <= 1 << 14) {
    std::vector<float> all(tensor.size());
    tensor.copy_to(all.data());
  }
  if (tensor.shape().empty() || width > 1 << 14) return;
  std::vector<double> row(width);
  tensor.copy_rows(0, 1, row.data());
  tensor.copy_rows(rows - 1, 1, row.data());
}
inline void touch(const optscope::tensor_table& table) {
  for (const auto& [name, tensor] : table.tensors) {
    require(table.unsupported.count(name) == 0, "a tensor of one type");
    touch(tensor);
  }
}

}  // namespace fuzz
