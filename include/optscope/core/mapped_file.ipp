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

namespace detail {

OPTSCOPE_INLINE const std::byte* map_file(int fd, std::size_t size, map_call* map) noexcept {
  // Some file systems (FUSE with direct I/O, some of networks) map files for one process only, or not at all: ENODEV.
  for (const int kind : {MAP_SHARED, MAP_PRIVATE}) {
    void* address = map(nullptr, size, PROT_READ, kind, fd, 0);
    if (address != MAP_FAILED) return static_cast<const std::byte*>(address);
  }
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  for (std::size_t done = 0; done < size;) {
    const ::ssize_t count = ::pread(fd, static_cast<char*>(memory) + done, size - done, static_cast<::off_t>(done));
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {
      const int reason = count == 0 ? EIO : errno;  // 0: the file has become shorter
      ::munmap(memory, size);
      errno = reason;
      return nullptr;
    }
    done += static_cast<std::size_t>(count);
  }
  return static_cast<const std::byte*>(memory);
}

}  // namespace detail

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
    data_ = detail::map_file(fd, size_, &::mmap);
    const int reason = errno;
    ::close(fd);
    if (data_ == nullptr) {
      throw file_error{path_.string(), "", "a file that can be mapped or read", std::strerror(reason)};
    }
  } else {
    ::close(fd);
  }
}

OPTSCOPE_INLINE mapped_file::~mapped_file() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace optscope
