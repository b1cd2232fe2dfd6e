// SPDX-License-Identifier: MIT
#pragma once
// Bodies of output_file.hpp.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optscope/core/output_file.hpp>
#include <string>
#include <system_error>
#include <utility>

namespace optscope {

namespace detail {

/// The folder that a file is in, links followed; empty if there is none.
inline std::filesystem::path real_folder_of(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::canonical(file.has_parent_path() ? file.parent_path() : ".", ignored);
}

OPTSCOPE_INLINE output_place place_of_output(const std::filesystem::path& target) {
  std::error_code ignored;
  output_place place{.file = target};
  for (int links = 0; std::filesystem::is_symlink(place.file, ignored); ++links) {
    if (links == 40) throw file_error{target.string(), "", "a writable place", std::strerror(ELOOP)};
    place.whole =
        real_folder_of(place.file).string().rfind("/proc/", 0) != 0;  // those say what is open, no file's name
    if (!place.whole) return place;
    place.file = place.file.parent_path() / std::filesystem::read_symlink(place.file, ignored);
  }
  const std::filesystem::file_status status = std::filesystem::status(place.file, ignored);
  if (std::filesystem::is_directory(status)) throw file_error{target.string(), "", "a file to write", "a folder"};
  place.whole = !std::filesystem::exists(status) || std::filesystem::is_regular_file(status);
  return place;
}

OPTSCOPE_INLINE int above_standard_streams(int descriptor) {
  if (descriptor < 0 || descriptor > STDERR_FILENO) return descriptor;
  const int above = ::fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int reason = errno;
  ::close(descriptor);
  errno = reason;
  return above;
}

OPTSCOPE_INLINE int open_as_it_is(const std::filesystem::path& file) {
  const std::string name = file.filename().string();
  std::error_code ignored;
  if (!name.empty() && name.find_first_not_of("0123456789") == std::string::npos &&
      real_folder_of(file) == std::filesystem::canonical("/proc/self/fd", ignored)) {
    return ::fcntl(std::atoi(name.c_str()), F_DUPFD_CLOEXEC, STDERR_FILENO + 1);  // resumes where the stream is
  }
  return above_standard_streams(::open(file.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY));
}

}  // namespace detail

OPTSCOPE_INLINE output_file::output_file(std::filesystem::path target)
    : target_{std::move(target)}, place_{detail::place_of_output(target_)} {
  temporary_ = place_.file.string() + ".tmp" + std::to_string(::getpid());
  const int descriptor =
      place_.whole
          ? detail::above_standard_streams(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666))
          : detail::open_as_it_is(place_.file);
  file_ = descriptor < 0 ? nullptr : ::fdopen(descriptor, "wb");
  if (file_ == nullptr) throw file_error{target_.string(), "", "a writable place", std::strerror(errno)};
}

OPTSCOPE_INLINE output_file::~output_file() {
  if (file_ == nullptr) return;
  std::fclose(file_);
  discard();
}

OPTSCOPE_INLINE void output_file::discard() const {
  if (place_.whole) ::unlink(temporary_.c_str());
}

OPTSCOPE_INLINE void output_file::write(std::span<const std::byte> bytes) {
  if (!bytes.empty() && std::fwrite(bytes.data(), 1, bytes.size(), file_) != bytes.size()) fail();
}

OPTSCOPE_INLINE void output_file::write(std::string_view text) { write(std::as_bytes(std::span{text})); }

OPTSCOPE_INLINE void output_file::commit() {
  const bool flushed = std::fflush(file_) == 0;
  const bool closed = std::fclose(std::exchange(file_, nullptr)) == 0;
  if (!flushed || !closed || (place_.whole && std::rename(temporary_.c_str(), place_.file.c_str()) != 0)) {
    const int reason = errno;
    discard();
    errno = reason;
    fail();
  }
}

OPTSCOPE_INLINE void output_file::fail() const {
  throw write_error{detail::printable(target_.string(), 1000) + ": cannot write: " + std::strerror(errno)};
}

OPTSCOPE_INLINE void write_file(const std::filesystem::path& target, std::string_view text) {
  output_file file{target};
  file.write(text);
  file.commit();
}

}  // namespace optscope
