// SPDX-License-Identifier: MIT
#pragma once
// Bodies of output_file.hpp.

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <optscope/core/output_file.hpp>
#include <string>
#include <system_error>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE output_file::output_file(std::filesystem::path target) : target_{std::move(target)} {
  temporary_ = target_.string() + ".tmp" + std::to_string(::getpid());
  std::error_code ignored;
  if (std::filesystem::is_directory(target_, ignored))
    throw file_error{target_.string(), "", "a file to write", "a folder"};
  file_ = std::fopen(temporary_.c_str(), "wb");
  if (file_ == nullptr) throw file_error{target_.string(), "", "a writable place", std::strerror(errno)};
}

OPTSCOPE_INLINE output_file::~output_file() {
  if (file_ != nullptr) {
    std::fclose(file_);
    ::unlink(temporary_.c_str());
  }
}

OPTSCOPE_INLINE void output_file::write(std::span<const std::byte> bytes) {
  if (!bytes.empty() && std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail();
}

OPTSCOPE_INLINE void output_file::write(std::string_view text) { write(std::as_bytes(std::span{text})); }

OPTSCOPE_INLINE void output_file::commit() {
  const bool flushed = std::fflush(file_) == 0;
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (!flushed || !closed || std::rename(temporary_.c_str(), target_.c_str()) != 0) {
    const int reason = errno;
    ::unlink(temporary_.c_str());
    errno = reason;
    fail();
  }
}

OPTSCOPE_INLINE void output_file::fail() const {
  throw write_error{target_.string() + ": cannot write: " + std::strerror(errno)};
}

OPTSCOPE_INLINE void write_file(const std::filesystem::path& target, std::string_view text) {
  output_file file{target};
  file.write(text);
  file.commit();
}

}  // namespace optscope
