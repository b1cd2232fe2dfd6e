// SPDX-License-Identifier: MIT
#pragma once
// A file that appears under its real name only when it is whole.

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optscope/core/errors.hpp>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

namespace optscope {

/// Writes beside the target and renames at `commit()`; without it the destructor removes what was written.
///
///     output_file file{"result.npy"};
///     file.write(header);
///     file.write(data);
///     file.commit();
///
/// Throws `file_error` if the file cannot be created, `write_error` if writing fails.
class output_file {
 public:
  explicit output_file(std::filesystem::path target) : target_{std::move(target)} {
    temporary_ = target_.string() + ".tmp" + std::to_string(::getpid());
    std::error_code ignored;
    if (std::filesystem::is_directory(target_, ignored))
      throw file_error{target_.string(), "", "a file to write", "a folder"};
    file_ = std::fopen(temporary_.c_str(), "wb");
    if (file_ == nullptr) throw file_error{target_.string(), "", "a writable place", std::strerror(errno)};
  }

  output_file(const output_file&) = delete;
  output_file& operator=(const output_file&) = delete;
  ~output_file() {
    if (file_ != nullptr) {
      std::fclose(file_);
      ::unlink(temporary_.c_str());
    }
  }

  void write(std::span<const std::byte> bytes) {
    if (!bytes.empty() && std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail();
  }
  void write(std::string_view text) { write(std::as_bytes(std::span{text})); }

  /// Where the bytes are until `commit()`; for a child process that writes the file itself.
  [[nodiscard]] const std::filesystem::path& temporary() const noexcept { return temporary_; }

  void commit() {
    const bool flushed = std::fflush(file_) == 0;
    const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
    if (!flushed || !closed || std::rename(temporary_.c_str(), target_.c_str()) != 0) {
      const int reason = errno;
      ::unlink(temporary_.c_str());
      errno = reason;
      fail();
    }
  }

 private:
  [[noreturn]] void fail() const { throw write_error{target_.string() + ": cannot write: " + std::strerror(errno)}; }

  std::filesystem::path target_, temporary_;
  std::FILE* file_ = nullptr;
};

/// Writes a whole file at once, as `output_file` does.
inline void write_file(const std::filesystem::path& target, std::string_view text) {
  output_file file{target};
  file.write(text);
  file.commit();
}

}  // namespace optscope
