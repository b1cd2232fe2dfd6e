// SPDX-License-Identifier: MIT
#pragma once
// A file that appears under its name only when it is complete.

#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <span>
#include <string_view>

namespace optscope {

/// Writes to a temporary file next to the target and renames it at `commit()`. Without `commit()` the destructor
/// removes it.
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

  /// The file that holds the bytes until `commit()`, for a child process that writes it directly.
  [[nodiscard]] const std::filesystem::path& temporary() const noexcept { return temporary_; }

  /// Renames the file to the target, replacing an older one.
  void commit();

 private:
  [[noreturn]] void fail() const;

  std::filesystem::path target_, temporary_;
  std::FILE* file_ = nullptr;
};

/// Writes a whole file at once, like `output_file`.
void write_file(const std::filesystem::path& target, std::string_view text);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/output_file.ipp>
#endif
