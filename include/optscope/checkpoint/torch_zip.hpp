// SPDX-License-Identifier: MIT
#pragma once
// The zip container of torch.save: where each stored record lies in the file.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/core/errors.hpp>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope::detail {

/// The records of an archive by name, without the folder that torch puts in front of all of them. Everything is
/// checked against the file and the two copies of every header against each other; nothing may be compressed. Checksums
/// are not verified, as in torch, which can be told to write wrong ones (`torch.serialization.set_crc32_options`): to
/// verify them would mean to read all weights and refuse good files. Throws `checkpoint_error`. The records refer to
/// the bytes given.
class torch_zip {
 public:
  torch_zip(std::string file, std::span<const std::byte> bytes) : file_{std::move(file)}, bytes_{bytes} {
    const directory where = find_directory();
    read_entries(where);
    check_overlaps(where.begin);
  }

  /// Null if there is no such record.
  [[nodiscard]] const std::span<const std::byte>* find(std::string_view name) const {
    const auto found = records_.find(name);
    return found == records_.end() ? nullptr : &found->second;
  }
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
  static constexpr std::uint16_t encrypted = 1u << 0, sizes_follow = 1u << 3, utf8 = 1u << 11;

  template <class Number>
  [[nodiscard]] Number at(std::size_t offset) const {
    return number_at<Number>(bytes_, offset);
  }
  [[noreturn]] void refuse(const std::string& item, std::string expected, std::string found) const {
    throw checkpoint_error{file_, item, std::move(expected), std::move(found)};
  }
  static std::string record(std::string_view name) { return "record " + quoted(name); }

  /// The end-of-directory record ends the file, without a comment, so that no other can be taken for it; its 64-bit
  /// form, if there is one, stands before it.
  [[nodiscard]] directory find_directory() const {
    constexpr std::size_t end_size = 22, locator_size = 20, end64_size = 56;
    const std::size_t size = bytes_.size();
    if (size < end_size) refuse("zip archive", "a directory at the end", std::to_string(size) + " bytes in all");
    const std::size_t end = size - end_size;
    if (at<std::uint32_t>(end) != 0x06054b50 || at<std::uint16_t>(end + 20) != 0) {
      refuse("zip archive", "a directory at the end", "none: the file is cut off, longer than it was, or no zip");
    }
    const auto disk = at<std::uint16_t>(end + 4), first_disk = at<std::uint16_t>(end + 6);
    const auto count_here = at<std::uint16_t>(end + 8), count = at<std::uint16_t>(end + 10);
    const auto length = at<std::uint32_t>(end + 12), offset = at<std::uint32_t>(end + 16);
    std::uint64_t real_count = count, real_length = length, real_offset = offset;
    std::size_t limit = end;
    bool one_disk = disk == 0 && first_disk == 0 && count_here == count;

    if (end >= locator_size && at<std::uint32_t>(end - locator_size) == 0x07064b50) {
      const std::size_t locator = end - locator_size;
      const auto end64 = at<std::uint64_t>(locator + 8);
      if (locator < end64_size || end64 != locator - end64_size ||
          at<std::uint32_t>(locator - end64_size) != 0x06064b50) {
        refuse("zip archive", "the 64-bit end of the directory before its locator", "offset " + std::to_string(end64));
      }
      limit = locator - end64_size;
      real_count = at<std::uint64_t>(limit + 32);
      real_length = at<std::uint64_t>(limit + 40);
      real_offset = at<std::uint64_t>(limit + 48);
      one_disk = one_disk && at<std::uint32_t>(limit + 16) == 0 && at<std::uint32_t>(limit + 20) == 0 &&
                 at<std::uint64_t>(limit + 24) == real_count && at<std::uint32_t>(locator + 4) == 0 &&
                 at<std::uint32_t>(locator + 16) <= 1 && at<std::uint64_t>(limit + 4) == end64_size - 12;
      if ((count != 0xffff && count != real_count) || (length != 0xffffffff && length != real_length) ||
          (offset != 0xffffffff && offset != real_offset)) {
        refuse("zip archive", "the 32-bit and 64-bit ends of the directory to agree", "different values");
      }
    }
    if (!one_disk) refuse("zip archive", "all of it in this file", "parts on several disks");
    if (real_offset > limit || real_length != limit - real_offset) {
      refuse("zip archive", "a directory that ends at byte " + std::to_string(limit),
             std::to_string(real_length) + " bytes at " + std::to_string(real_offset));
    }
    return {static_cast<std::size_t>(real_offset), limit, real_count};
  }

  void read_entries(const directory& where) {
    constexpr std::size_t fixed = 46;
    std::string_view prefix;
    std::size_t place = where.begin;
    for (std::uint64_t i = 0; i < where.count; ++i) {
      const std::string number = "zip entry " + std::to_string(i);
      if (where.end - place < fixed || at<std::uint32_t>(place) != 0x02014b50) {
        refuse(number, "an entry of the directory at byte " + std::to_string(place), "something else");
      }
      const std::size_t name_size = at<std::uint16_t>(place + 28), extra_size = at<std::uint16_t>(place + 30);
      const std::size_t comment_size = at<std::uint16_t>(place + 32);
      if (where.end - place - fixed < name_size + extra_size + comment_size) {
        refuse(number, "an entry inside the directory", "one that goes beyond it");
      }
      const std::string_view name = as_text(bytes_.subspan(place + fixed, name_size));
      if (i == 0) {
        const auto slash = name.find('/');
        if (slash == std::string_view::npos) refuse(record(name), "a name of the form FOLDER/NAME", "no folder");
        prefix = name.substr(0, slash + 1);
      }
      if (name.substr(0, prefix.size()) != prefix) {
        refuse(record(name), "a name under " + quoted(prefix) + " as the first one", "another folder");
      }
      const auto payload = check_entry(where, place, name, bytes_.subspan(place + fixed + name_size, extra_size));
      if (!records_.emplace(name.substr(prefix.size()), payload).second) refuse(record(name), "it once", "it twice");
      place += fixed + name_size + extra_size + comment_size;
    }
    if (place != where.end) {
      refuse("zip archive", std::to_string(where.count) + " entries that fill the directory", "bytes left over");
    }
  }

  /// Checks one entry and its local header; gives its bytes.
  std::span<const std::byte> check_entry(const directory& where, std::size_t place, std::string_view name,
                                         std::span<const std::byte> extra) {
    const auto flags = at<std::uint16_t>(place + 8), method = at<std::uint16_t>(place + 10);
    if (flags & encrypted) refuse(record(name), "a plain record", "an encrypted one");
    if (method != 0) {
      refuse(record(name), "a stored record, as torch writes it",
             method == 8 ? "a compressed (deflated) one" : "compression method " + std::to_string(method));
    }
    if (flags & ~(sizes_follow | utf8)) refuse(record(name), "known zip flags", std::to_string(flags));

    std::uint64_t packed = at<std::uint32_t>(place + 20), size = at<std::uint32_t>(place + 24);
    std::uint64_t local = at<std::uint32_t>(place + 42), disk = at<std::uint16_t>(place + 34);
    widen(name, extra, size, packed, local, disk);
    if (disk != 0) refuse(record(name), "a record in this file", "one on disk " + std::to_string(disk));
    if (packed != size) {
      refuse(record(name), "equal stored and real sizes", std::to_string(packed) + " and " + std::to_string(size));
    }

    constexpr std::size_t fixed = 30;
    if (local > where.begin || where.begin - local < fixed || at<std::uint32_t>(local) != 0x04034b50) {
      refuse(record(name), "a local header before the directory", "none at byte " + std::to_string(local));
    }
    const std::size_t name_size = at<std::uint16_t>(local + 26), extra_size = at<std::uint16_t>(local + 28);
    const std::size_t room = where.begin - local - fixed;
    if (room < name_size + extra_size || size > room - name_size - extra_size) {
      refuse(record(name), "at most " + std::to_string(room) + " bytes before the directory", std::to_string(size));
    }
    const std::string_view local_name = as_text(bytes_.subspan(local + fixed, name_size));
    if (local_name != name) refuse(record(name), "the same name in its local header", quoted(local_name));
    if (at<std::uint16_t>(local + 6) != flags || at<std::uint16_t>(local + 8) != method) {
      refuse(record(name), "the same flags and method in its local header", "others");
    }
    std::uint64_t local_packed = at<std::uint32_t>(local + 18), local_size = at<std::uint32_t>(local + 22);
    const bool later = (flags & sizes_follow) && local_packed == 0 && local_size == 0;
    if (!later) {
      std::uint64_t none = 0, no_disk = 0;
      widen(name, bytes_.subspan(local + fixed + name_size, extra_size), local_size, local_packed, none, no_disk);
      if (local_size != size || local_packed != packed) {
        refuse(record(name), std::to_string(size) + " bytes in its local header too", std::to_string(local_size));
      }
    }
    const std::size_t begin = local + fixed + name_size + extra_size;
    extents_.push_back({static_cast<std::size_t>(local), begin + static_cast<std::size_t>(size), name});
    return bytes_.subspan(begin, static_cast<std::size_t>(size));
  }

  /// Replaces the fields that are all ones by those of the zip64 extra field, in its fixed order.
  void widen(std::string_view name, std::span<const std::byte> extra, std::uint64_t& size, std::uint64_t& packed,
             std::uint64_t& local, std::uint64_t& disk) const {
    const bool wanted = size == 0xffffffff || packed == 0xffffffff || local == 0xffffffff || disk == 0xffff;
    for (std::size_t place = 0; wanted && extra.size() - place >= 4;) {
      const std::size_t length = number_at<std::uint16_t>(extra, place + 2);
      if (extra.size() - place - 4 < length) break;
      if (number_at<std::uint16_t>(extra, place) != 1) {
        place += 4 + length;
        continue;
      }
      auto field = extra.subspan(place + 4, length);
      const auto take = [&]<class Number>(std::uint64_t& target, std::uint64_t mark, Number) {
        if (target != mark || field.size() < sizeof(Number)) return target != mark;
        target = number_at<Number>(field, 0);
        field = field.subspan(sizeof(Number));
        return true;
      };
      if (take(size, 0xffffffff, std::uint64_t{}) && take(packed, 0xffffffff, std::uint64_t{}) &&
          take(local, 0xffffffff, std::uint64_t{}) && take(disk, 0xffff, std::uint32_t{})) {
        return;
      }
      break;
    }
    if (wanted) refuse(record(name), "a whole zip64 field for its sizes", "none");
  }

  void check_overlaps(std::size_t limit) {
    std::sort(extents_.begin(), extents_.end(), [](const extent& a, const extent& b) { return a.begin < b.begin; });
    if (!extents_.empty() && extents_.front().begin != 0) {
      refuse("zip archive", "the first record at byte 0", "byte " + std::to_string(extents_.front().begin));
    }
    std::size_t free = 0;
    for (const extent& each : extents_) {
      if (each.begin < free) refuse(record(each.name), "bytes of its own", "bytes of another record");
      free = each.end;
    }
    if (free > limit) refuse("zip archive", "records before the directory", "records in it");
  }

  std::string file_;
  std::span<const std::byte> bytes_;
  std::map<std::string_view, std::span<const std::byte>> records_;
  std::vector<extent> extents_;
};

}  // namespace optscope::detail
