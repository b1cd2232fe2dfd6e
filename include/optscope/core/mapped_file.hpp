// SPDX-License-Identifier: MIT
#pragma once
// A read-only memory-mapped file.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <optscope/core/errors.hpp>
#include <span>
#include <system_error>
#include <utility>

namespace optscope {

/// Whether there is something of this name. A link to nothing counts: opening it says what is wrong.
[[nodiscard]] inline bool file_present(const std::filesystem::path& path) noexcept {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

/// Asks the system to read mapped bytes ahead, in larger pieces than touching them does. Does not wait for them.
inline void read_ahead(std::span<const std::byte> bytes) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(bytes.data()), offset = begin % page;
  if (!bytes.empty()) ::madvise(reinterpret_cast<void*>(begin - offset), bytes.size() + offset, MADV_WILLNEED);
}

/// Maps a regular file for reading; pages come in as they are touched and never count as anonymous memory.
/// Throws `file_error` if the path is missing, unreadable or not a regular file. An empty file gives an empty span.
/// The file must stay as it is while it is mapped: one that is replaced (renamed over) or removed is still read as it
/// was, one that is written to shows the new bytes, and to touch what was cut off raises SIGBUS, as does a failing
/// disk.
class mapped_file {
 public:
  mapped_file() = default;

  explicit mapped_file(std::filesystem::path path) : path_{std::move(path)} {
    const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // never waits for a pipe's writer
    if (fd < 0) {
      const int reason = errno;
      throw file_error{path_.string(), "", "a readable file",
                       reason == ENOENT && file_present(path_) ? "a link to nothing" : std::strerror(reason)};
    }
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
      ::close(fd);
      throw file_error{path_.string(), "", "a regular file", S_ISDIR(status.st_mode) ? "a folder" : "something else"};
    }
    size_ = static_cast<std::size_t>(status.st_size);
    if (size_ != 0) {
      void* address = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd, 0);
      const int reason = errno;
      ::close(fd);
      if (address == MAP_FAILED) {
        throw file_error{path_.string(), "", "a file that can be mapped", std::strerror(reason)};
      }
      data_ = static_cast<const std::byte*>(address);
    } else {
      ::close(fd);
    }
  }

  mapped_file(mapped_file&& other) noexcept { swap(other); }
  mapped_file& operator=(mapped_file&& other) noexcept {
    swap(other);
    return *this;
  }
  mapped_file(const mapped_file&) = delete;
  mapped_file& operator=(const mapped_file&) = delete;
  ~mapped_file() {
    if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
  }

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
