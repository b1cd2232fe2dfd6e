// SPDX-License-Identifier: MIT
#pragma once
// A file that appears under its name only when it is complete, and where an output goes.

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <span>
#include <string_view>

namespace optscope {

namespace detail {

/// What is written for an output.
struct output_place {
  std::filesystem::path file;
  bool whole = true;  ///< written beside it under another name, then renamed; else as it comes
};

/// Follows symbolic links, also to what does not exist yet. Devices, pipes and sockets, and files that are open as a
/// stream (`/dev/stdout`), are not to be replaced. Throws `file_error` for a folder and for links in a circle.
[[nodiscard]] output_place place_of_output(const std::filesystem::path& target);

/// A descriptor to write a file as it comes, never one of the standard streams'; -1 and `errno` if it cannot be opened.
[[nodiscard]] int open_as_it_is(const std::filesystem::path& file);

/// The same descriptor, or a copy above those of the standard streams, where one of these is closed.
[[nodiscard]] int above_standard_streams(int descriptor);

}  // namespace detail

/// Writes to a temporary file next to the target and renames it at `commit()`. Without `commit()` the destructor
/// removes it. A symbolic link stays and what it points to is replaced; a device or a pipe is written as it comes.
///
///     output_file file{"result.npy"};
///     file.write(header);
///     file.write(data);
///     file.commit();
///
/// Throws `file_error` if the file cannot be created, `write_error` if writing fails.
class output_file {
 public:
  explicit output_file(std::filesystem::path target);

  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;
  ~output_file();

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  /// Renames the file to the target, replacing an older one.
  void commit();

 private:
  [[noreturn]] void fail() const;

  void discard() const;

  std::filesystem::path target_, temporary_;
  detail::output_place place_;
  std::FILE* file_ = nullptr;
};

/// Writes a whole file at once, like `output_file`.
void write_file(const std::filesystem::path& target, std::string_view text);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/output_file.ipp>
#endif
