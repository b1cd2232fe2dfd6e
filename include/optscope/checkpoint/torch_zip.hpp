// SPDX-License-Identifier: MIT
#pragma once
// The zip container of torch.save: where each stored record lies in the file.

#include <cstddef>
#include <cstdint>
#include <map>
#include <optscope/core/compiled.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace optscope::detail {

/// The records of an archive by name, without the folder that torch puts in front of all of them. Everything is
/// checked against the file and the two copies of every header against each other; nothing may be compressed. Checksums
/// are not verified, as in torch, which can be told to write wrong ones (`torch.serialization.set_crc32_options`): to
/// verify them would mean reading all weights and refusing good files. Throws `checkpoint_error`. The records refer to
/// the bytes given.
class torch_zip {
 public:
  torch_zip(std::string file, std::span<const std::byte> bytes);

  /// Null if there is no such record.
  [[nodiscard]] const std::span<const std::byte>* find(std::string_view name) const;
  [[nodiscard]] std::size_t size() const noexcept { return records_.size(); }

 private:
  struct directory {
    std::size_t begin, end;  // of the central directory
    std::uint64_t count;
  };
  struct extent {
    std::size_t begin, end;  // of a local header and its payload
    std::string_view name;
  };
  /// The fields of a header that have 64-bit forms.
  struct sizes {
    std::uint64_t size, packed, local, disk;
  };

  template <class Number>
  [[nodiscard]] Number at(std::size_t offset) const;
  [[noreturn]] void refuse(const std::string& item, std::string expected, std::string found) const;

  [[nodiscard]] directory find_directory() const;
  void read_entries(const directory& where);
  std::span<const std::byte> check_entry(const directory& where, std::size_t place, std::string_view name,
                                         std::span<const std::byte> extra);
  void widen(std::string_view name, std::span<const std::byte> extra, sizes& of) const;
  void check_overlaps(std::size_t limit);

  std::string file_;
  std::span<const std::byte> bytes_;
  std::map<std::string_view, std::span<const std::byte>> records_;
  std::vector<extent> extents_;
};

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/torch_zip.ipp>
#endif
