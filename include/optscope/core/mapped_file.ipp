// SPDX-License-Identifier: MIT
#pragma once
// Bodies of mapped_file.hpp.

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <optscope/core/mapped_file.hpp>
#include <system_error>

namespace optscope {

OPTSCOPE_INLINE bool file_present(const std::filesystem::path& path) noexcept {
  std::error_code ignored;
  return std::filesystem::exists(std::filesystem::symlink_status(path, ignored));
}

OPTSCOPE_INLINE void read_ahead(std::span<const std::byte> bytes) noexcept {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const std::uintptr_t begin = reinterpret_cast<std::uintptr_t>(bytes.data()), offset = begin % page;
  if (!bytes.empty()) ::madvise(reinterpret_cast<void*>(begin - offset), bytes.size() + offset, MADV_WILLNEED);
}

OPTSCOPE_INLINE mapped_file::mapped_file(std::filesystem::path path) : path_{std::move(path)} {
  const int fd = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // never waits for a pipe's writer
  if (fd < 0) {
    const int reason = errno;
    throw file_error{path_.string(), "", "a readable file",
                     reason == ENOENT && file_present(path_) ? "a broken link" : std::strerror(reason)};
  }
  struct stat status {};
  if (::fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
    ::close(fd);
    throw file_error{path_.string(), "", "a regular file",
                     S_ISDIR(status.st_mode) ? "a folder" : "a device, pipe or socket"};
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

OPTSCOPE_INLINE mapped_file::~mapped_file() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace optscope
