// SPDX-License-Identifier: MIT
#pragma once
// Bodies of resumable_safetensors.hpp.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optscope/checkpoint/resumable_safetensors.hpp>
#include <optscope/core/errors.hpp>
#include <stdexcept>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE resumable_safetensors::resumable_safetensors(std::filesystem::path path,
                                                             const std::vector<safetensors_item>& items,
                                                             const std::map<std::string, std::string>& metadata)
    : path_{std::move(path)}, place_{detail::place_of_output(path_)}, partial_{place_.file.string() + ".partial"} {
  const safetensors_header header{items, metadata};
  begin_ = header.text.size();
  size_ = header.data_size;
  file_ = place_.whole ? detail::above_standard_streams(::open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666))
                       : detail::open_as_it_is(place_.file);
  if (file_ < 0) throw file_error{path_.string(), "", "a writable place", std::strerror(errno)};
  if (place_.whole && ::flock(file_, LOCK_EX | LOCK_NB) != 0) {
    ::close(file_);
    throw file_error{partial_.string(), "", "a file that no other process is writing", "one that is locked"};
  }
  try {
    std::string found(begin_, '\0');
    struct stat status {};
    if (place_.whole && ::fstat(file_, &status) == 0 && status.st_size >= static_cast<::off_t>(begin_) &&
        ::pread(file_, found.data(), begin_, 0) == static_cast<::ssize_t>(begin_) && found == header.text) {
      found_ = std::min(static_cast<std::size_t>(status.st_size) - begin_, size_);
    } else {
      cut(0);
      write(std::as_bytes(std::span{header.text}));
    }
    keep(found_);
  } catch (...) {
    close();
    throw;
  }
}

OPTSCOPE_INLINE resumable_safetensors::~resumable_safetensors() { close(); }

OPTSCOPE_INLINE void resumable_safetensors::keep(std::size_t bytes) {
  cut(begin_ + bytes);
  written_ = kept_ = bytes;
}

OPTSCOPE_INLINE void resumable_safetensors::append(std::span<const float> values) {
  const auto bytes = std::as_bytes(values);
  if (bytes.size() > size_ - written_) throw std::logic_error{"safetensors: more data than announced"};
  write(bytes);
  written_ += bytes.size();
}

OPTSCOPE_INLINE void resumable_safetensors::sync() {
  if (place_.whole && ::fdatasync(file_) != 0) fail();
  kept_ = written_;
}

OPTSCOPE_INLINE void resumable_safetensors::commit() {
  if (written_ != size_) throw std::logic_error{"safetensors: less data than announced"};
  if (place_.whole && (::fsync(file_) != 0 || ::rename(partial_.c_str(), place_.file.c_str()) != 0)) fail();
  ::close(std::exchange(file_, -1));
}

OPTSCOPE_INLINE void resumable_safetensors::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ::ssize_t count = ::write(file_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) fail();
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

OPTSCOPE_INLINE void resumable_safetensors::cut(std::size_t size) {
  if (!place_.whole) return;  // nothing was found, so there is nothing to cut
  const auto end = static_cast<::off_t>(size);
  if (::ftruncate(file_, end) != 0 || ::lseek(file_, end, SEEK_SET) != end) fail();
}

OPTSCOPE_INLINE void resumable_safetensors::close() noexcept {
  if (file_ < 0) return;
  if (place_.whole && kept_ == 0) ::unlink(partial_.c_str());
  ::close(std::exchange(file_, -1));
}

OPTSCOPE_INLINE void resumable_safetensors::fail() const {
  throw write_error{detail::printable(path_.string(), 1000) + ": cannot write: " + std::strerror(errno)};
}

}  // namespace optscope
