// SPDX-License-Identifier: MIT
#pragma once
// A safetensors file whose writing resumes after the program was stopped.

#include <cstddef>
#include <filesystem>
#include <map>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor_writer.hpp>
#include <span>
#include <string>
#include <vector>

namespace optscope {

/// Writes to `PATH.partial`, which becomes PATH at `commit()`. The partial file is the final one cut short: first the
/// header, then the tensors in order, so its length says how much has been written. Opened again with the same items
/// and metadata, it reports `bytes_found()` of data; `keep(bytes)` cuts off the rest and resumes there. With different
/// items or metadata it starts again from nothing, so put into the metadata whatever the data depend on. Of a symbolic
/// link, PATH is what it points to. A device or a pipe has no partial file: it is written as the data come.
///
/// Throws `file_error` if the file cannot be created or another process is writing it, and `write_error` if writing
/// fails, for example because the disk is full; what was written before stays and can be resumed. A file in which no
/// data are kept is removed.
class resumable_safetensors {
 public:
  using item_type = safetensors_item;

  resumable_safetensors(std::filesystem::path path, const std::vector<safetensors_item>& items,
                        const std::map<std::string, std::string>& metadata);
  resumable_safetensors(const resumable_safetensors&) = delete;
  resumable_safetensors& operator=(const resumable_safetensors&) = delete;
  ~resumable_safetensors();

  /// Bytes of data that an earlier run left.
  [[nodiscard]] std::size_t bytes_found() const noexcept { return found_; }
  /// Resumes after the first `bytes` of them.
  void keep(std::size_t bytes);

  /// The next elements, row-major, across the ends of tensors if need be.
  void append(std::span<const float> values);
  /// Waits until everything appended so far is on the disk; it is then kept.
  void sync();
  void commit();

 private:
  void write(std::span<const std::byte> bytes);
  void cut(std::size_t size);
  void close() noexcept;
  [[noreturn]] void fail() const;

  std::filesystem::path path_;
  detail::output_place place_;
  std::filesystem::path partial_;
  int file_ = -1;
  std::size_t begin_ = 0, size_ = 0;                // of the data
  std::size_t found_ = 0, written_ = 0, kept_ = 0;  // bytes of data
};

static_assert(resumable_writer<resumable_safetensors, float>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/resumable_safetensors.ipp>
#endif
