// SPDX-License-Identifier: MIT
#pragma once
// A safetensors file that is written over more than one run of a program: what a kill leaves is gone on with.

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/core/dtype.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tensor_writer.hpp>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// Writes to `PATH.partial`, which becomes PATH at `commit()`. The partial file is the final one cut short: header
/// first, then the tensors in order, so that its length says what is there. Opened again with the same items and
/// metadata it has `bytes_found()` of data; `keep(bytes)` cuts what is behind and goes on there. With other items or
/// metadata it is begun anew: put into the metadata what the data depend on.
///
/// Throws `file_error` if the file cannot be made or another process is writing it, `write_error` if writing fails, a
/// full disk among the reasons; what was written before stays then, to be gone on with. A file in which no data are
/// kept is removed.
class resumable_safetensors {
 public:
  using item_type = safetensors_item;

  resumable_safetensors(std::filesystem::path path, const std::vector<safetensors_item>& items,
                        const std::map<std::string, std::string>& metadata)
      : path_{std::move(path)}, partial_{path_.string() + ".partial"} {
    const safetensors_header header{items, metadata};
    begin_ = header.text.size();
    size_ = header.data_size;
    std::error_code ignored;
    if (std::filesystem::is_directory(path_, ignored))
      throw file_error{path_.string(), "", "a file to write", "a folder"};
    file_ = ::open(partial_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file_ < 0) throw file_error{path_.string(), "", "a writable place", std::strerror(errno)};
    if (::flock(file_, LOCK_EX | LOCK_NB) != 0) {
      ::close(file_);
      throw file_error{partial_.string(), "", "a file that no other process is writing", "one that is locked"};
    }
    try {
      std::string found(begin_, '\0');
      struct stat status {};
      if (::fstat(file_, &status) == 0 && status.st_size >= static_cast<::off_t>(begin_) &&
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
  resumable_safetensors(const resumable_safetensors&) = delete;
  resumable_safetensors& operator=(const resumable_safetensors&) = delete;
  ~resumable_safetensors() { close(); }

  /// Bytes of data that an earlier run has left.
  [[nodiscard]] std::size_t bytes_found() const noexcept { return found_; }
  /// Goes on behind the first `bytes` of them.
  void keep(std::size_t bytes) {
    cut(begin_ + bytes);
    written_ = kept_ = bytes;
  }

  /// The next elements, row-major, over the ends of tensors if need be.
  void append(std::span<const float> values) {
    const auto bytes = std::as_bytes(values);
    if (bytes.size() > size_ - written_) throw std::logic_error{"safetensors: more data than announced"};
    write(bytes);
    written_ += bytes.size();
  }
  /// What was appended so far is on the disk when this returns, and is kept.
  void sync() {
    if (::fdatasync(file_) != 0) fail();
    kept_ = written_;
  }
  void commit() {
    if (written_ != size_) throw std::logic_error{"safetensors: less data than announced"};
    if (::fsync(file_) != 0 || ::rename(partial_.c_str(), path_.c_str()) != 0) fail();
    ::close(std::exchange(file_, -1));
  }

 private:
  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ::ssize_t count = ::write(file_, bytes.data(), bytes.size());
      if (count < 0 && errno == EINTR) continue;
      if (count <= 0) fail();
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
  }
  void cut(std::size_t size) {
    const auto end = static_cast<::off_t>(size);
    if (::ftruncate(file_, end) != 0 || ::lseek(file_, end, SEEK_SET) != end) fail();
  }
  void close() noexcept {
    if (file_ < 0) return;
    if (kept_ == 0) ::unlink(partial_.c_str());
    ::close(std::exchange(file_, -1));
  }
  [[noreturn]] void fail() const { throw write_error{path_.string() + ": cannot write: " + std::strerror(errno)}; }

  std::filesystem::path path_, partial_;
  int file_ = -1;
  std::size_t begin_ = 0, size_ = 0;                // of the data
  std::size_t found_ = 0, written_ = 0, kept_ = 0;  // bytes of data
};

static_assert(resumable_writer<resumable_safetensors, float>);

}  // namespace optscope
