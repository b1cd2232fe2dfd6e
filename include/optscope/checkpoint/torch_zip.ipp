// SPDX-License-Identifier: MIT
#pragma once
// Bodies of torch_zip.hpp.

#include <algorithm>
#include <optscope/checkpoint/detail.hpp>
#include <optscope/checkpoint/torch_zip.hpp>
#include <optscope/core/errors.hpp>
#include <utility>

namespace optscope::detail {

inline constexpr std::uint16_t zip_encrypted = 1u << 0, zip_sizes_follow = 1u << 3, zip_utf8 = 1u << 11;

inline std::string zip_record(std::string_view name) { return "record " + quoted(name); }

template <class Number>
Number torch_zip::at(std::size_t offset) const {
  return number_at<Number>(bytes_, offset);
}

OPTSCOPE_INLINE void torch_zip::refuse(const std::string& item, std::string expected, std::string found) const {
  throw checkpoint_error{file_, item, std::move(expected), std::move(found)};
}

OPTSCOPE_INLINE torch_zip::torch_zip(std::string file, std::span<const std::byte> bytes)
    : file_{std::move(file)}, bytes_{bytes} {
  const directory where = find_directory();
  read_entries(where);
  check_overlaps(where.begin);
}

OPTSCOPE_INLINE const std::span<const std::byte>* torch_zip::find(std::string_view name) const {
  const auto found = records_.find(name);
  return found == records_.end() ? nullptr : &found->second;
}

// The end-of-directory record ends the file, without a comment, so that no other can be taken for it; its 64-bit
// form, if there is one, stands before it.
OPTSCOPE_INLINE torch_zip::directory torch_zip::find_directory() const {
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
      refuse("zip archive", "the same numbers at the 32-bit and 64-bit ends of the directory",
             std::to_string(count) + ", " + std::to_string(length) + ", " + std::to_string(offset) + " and " +
                 std::to_string(real_count) + ", " + std::to_string(real_length) + ", " + std::to_string(real_offset));
    }
  }
  if (!one_disk) refuse("zip archive", "a whole archive in this file", "parts on several disks");
  if (real_offset > limit || real_length != limit - real_offset) {
    refuse("zip archive", "a directory that ends at byte " + std::to_string(limit),
           std::to_string(real_length) + " bytes at " + std::to_string(real_offset));
  }
  return {static_cast<std::size_t>(real_offset), limit, real_count};
}

OPTSCOPE_INLINE void torch_zip::read_entries(const directory& where) {
  constexpr std::size_t fixed = 46;
  std::string_view prefix;
  std::size_t place = where.begin;
  for (std::uint64_t i = 0; i < where.count; ++i) {
    const std::string number = "zip entry " + std::to_string(i);
    if (where.end - place < fixed || at<std::uint32_t>(place) != 0x02014b50) {
      refuse(number, "an entry of the directory at byte " + std::to_string(place),
             quoted(as_text(bytes_.subspan(place, std::min<std::size_t>(4, where.end - place)))));
    }
    const std::size_t name_size = at<std::uint16_t>(place + 28), extra_size = at<std::uint16_t>(place + 30);
    const std::size_t comment_size = at<std::uint16_t>(place + 32);
    if (where.end - place - fixed < name_size + extra_size + comment_size) {
      refuse(number, "an entry inside the directory of " + std::to_string(where.end - where.begin) + " bytes",
             std::to_string(fixed + name_size + extra_size + comment_size) + " bytes at " +
                 std::to_string(place - where.begin));
    }
    const std::string_view name = as_text(bytes_.subspan(place + fixed, name_size));
    if (i == 0) {
      const auto slash = name.find('/');
      if (slash == std::string_view::npos) refuse(zip_record(name), "a name of the form FOLDER/NAME", quoted(name));
      prefix = name.substr(0, slash + 1);
    }
    if (name.substr(0, prefix.size()) != prefix) {
      refuse(zip_record(name), "a name under " + quoted(prefix) + " like the first record", quoted(name));
    }
    const auto payload = check_entry(where, place, name, bytes_.subspan(place + fixed + name_size, extra_size));
    if (!records_.emplace(name.substr(prefix.size()), payload).second) refuse("duplicate " + zip_record(name), "", "");
    place += fixed + name_size + extra_size + comment_size;
  }
  if (place != where.end) {
    refuse("zip archive", std::to_string(where.count) + " entries that fill the directory",
           std::to_string(where.end - place) + " bytes left over");
  }
}

// Checks one entry and its local header; gives its bytes.
OPTSCOPE_INLINE std::span<const std::byte> torch_zip::check_entry(const directory& where, std::size_t place,
                                                                  std::string_view name,
                                                                  std::span<const std::byte> extra) {
  const auto flags = at<std::uint16_t>(place + 8), method = at<std::uint16_t>(place + 10);
  if (flags & zip_encrypted) refuse(zip_record(name), "a plain record", "an encrypted one");
  if (method != 0) {
    refuse(zip_record(name), "a stored record, as torch writes it",
           method == 8 ? "a compressed (deflated) one" : "compression method " + std::to_string(method));
  }
  if (flags & ~(zip_sizes_follow | zip_utf8)) refuse(zip_record(name), "known zip flags", std::to_string(flags));

  sizes real{.size = at<std::uint32_t>(place + 24),
             .packed = at<std::uint32_t>(place + 20),
             .local = at<std::uint32_t>(place + 42),
             .disk = at<std::uint16_t>(place + 34)};
  widen(name, extra, real);
  const auto [size, packed, local, disk] = real;
  if (disk != 0) refuse(zip_record(name), "a record in this file", "one on disk " + std::to_string(disk));
  if (packed != size) {
    refuse(zip_record(name), "equal stored and real sizes", std::to_string(packed) + " and " + std::to_string(size));
  }

  constexpr std::size_t fixed = 30;
  if (local > where.begin || where.begin - local < fixed || at<std::uint32_t>(local) != 0x04034b50) {
    refuse(zip_record(name), "a local header before the directory", "none at byte " + std::to_string(local));
  }
  const std::size_t name_size = at<std::uint16_t>(local + 26), extra_size = at<std::uint16_t>(local + 28);
  const std::size_t room = where.begin - local - fixed;
  if (room < name_size + extra_size || size > room - name_size - extra_size) {
    refuse(zip_record(name), "at most " + std::to_string(room) + " bytes before the directory", std::to_string(size));
  }
  const std::string_view local_name = as_text(bytes_.subspan(local + fixed, name_size));
  if (local_name != name) refuse(zip_record(name), "the same name in its local header", quoted(local_name));
  if (at<std::uint16_t>(local + 6) != flags || at<std::uint16_t>(local + 8) != method) {
    refuse(zip_record(name), "flags " + std::to_string(flags) + " and method 0 in its local header too",
           std::to_string(at<std::uint16_t>(local + 6)) + " and " + std::to_string(at<std::uint16_t>(local + 8)));
  }
  sizes there{.size = at<std::uint32_t>(local + 22), .packed = at<std::uint32_t>(local + 18), .local = 0, .disk = 0};
  const bool later = (flags & zip_sizes_follow) && there.packed == 0 && there.size == 0;
  if (!later) {
    widen(name, bytes_.subspan(local + fixed + name_size, extra_size), there);
    if (there.size != size || there.packed != packed) {
      refuse(zip_record(name), std::to_string(size) + " bytes in its local header too", std::to_string(there.size));
    }
  }
  const std::size_t begin = local + fixed + name_size + extra_size;
  extents_.push_back({static_cast<std::size_t>(local), begin + static_cast<std::size_t>(size), name});
  return bytes_.subspan(begin, static_cast<std::size_t>(size));
}

// Replaces the fields that are all ones by those of the zip64 extra field, in its fixed order.
OPTSCOPE_INLINE void torch_zip::widen(std::string_view name, std::span<const std::byte> extra, sizes& of) const {
  const bool wanted = of.size == 0xffffffff || of.packed == 0xffffffff || of.local == 0xffffffff || of.disk == 0xffff;
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
    if (take(of.size, 0xffffffff, std::uint64_t{}) && take(of.packed, 0xffffffff, std::uint64_t{}) &&
        take(of.local, 0xffffffff, std::uint64_t{}) && take(of.disk, 0xffff, std::uint32_t{})) {
      return;
    }
    break;
  }
  if (wanted) refuse(zip_record(name), "a whole zip64 field for its sizes", "none");
}

OPTSCOPE_INLINE void torch_zip::check_overlaps(std::size_t limit) {
  std::sort(extents_.begin(), extents_.end(), [](const extent& a, const extent& b) { return a.begin < b.begin; });
  if (!extents_.empty() && extents_.front().begin != 0) {
    refuse("zip archive", "the first record at byte 0", "byte " + std::to_string(extents_.front().begin));
  }
  std::size_t free = 0;
  for (const extent& each : extents_) {
    if (each.begin < free)
      refuse(zip_record(each.name), "bytes from " + std::to_string(free) + " on, where the record before it ends",
             std::to_string(each.begin));
    free = each.end;
  }
  if (free > limit)
    refuse("zip archive", "records that end before the directory at " + std::to_string(limit), std::to_string(free));
}

}  // namespace optscope::detail
