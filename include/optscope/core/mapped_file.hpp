// SPDX-License-Identifier: MIT
#pragma once
// A read-only memory-mapped file.

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <span>
#include <utility>

namespace optscope {

/// Whether this name exists. A broken link counts: opening it says what is wrong.
[[nodiscard]] bool file_present(const std::filesystem::path& path) noexcept;

/// Asks the system to read mapped bytes from the disk now, in larger pieces than touching them would. Does not wait.
void read_ahead(std::span<const std::byte> bytes) noexcept;

namespace detail {

/// The signature of mmap.
using map_call = void*(void*, std::size_t, int, int, int, ::off_t);

/// The bytes of a file, mapped with `map` or, where it fails, read; to be unmapped. Null with `errno` set if both fail.
[[nodiscard]] const std::byte* map_file(int fd, std::size_t size, map_call* map) noexcept;

}  // namespace detail

/// Maps a regular file for reading; pages are read when they are touched and never count as anonymous memory.
/// A file that the system cannot map is read into memory. Throws `file_error` if the path is missing, unreadable or not
/// a regular file. An empty file gives an empty span.
///
/// The file must not change while it is mapped. If it is replaced (renamed over) or removed, the old bytes are still
/// read; if it is written to, the new bytes appear; touching bytes that were cut off raises SIGBUS, as does a failing
/// disk.
class mapped_file {
 public:
  mapped_file() = default;

  explicit mapped_file(std::filesystem::path path);

  mapped_file(mapped_file&& other) noexcept { swap(other); }
  mapped_file& operator=(mapped_file&& other) noexcept {
    swap(other);
    return *this;
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file();

  [[nodiscard]] std::span<const std::byte> bytes() const noexcept { return {data_, size_}; }
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void swap(mapped_file& other) noexcept {
    std::swap(path_, other.path_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/mapped_file.ipp>
#endif
