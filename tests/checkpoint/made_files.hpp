// SPDX-License-Identifier: MIT
#pragma once
// Builds checkpoint files byte by byte, whole and broken.

#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "temporary_folder.hpp"

namespace attack {

template <class Number>
std::string little_endian(Number number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}
inline std::string u16(std::uint64_t n) { return little_endian(static_cast<std::uint16_t>(n)); }
inline std::string u32(std::uint64_t n) { return little_endian(static_cast<std::uint32_t>(n)); }
inline std::string u64(std::uint64_t n) { return little_endian(n); }

/// A zip entry as torch writes it; what is not negative replaces the true number.
struct zip_entry {
  std::string name, data;
  std::uint16_t flags = 0x0808, method = 0;
  std::int64_t size = -1, packed = -1, offset = -1, local_size = 0;  // a size of 0 in front: it follows the data
  std::string local_name{};
  std::string extra{};
  std::uint16_t disk = 0;
};

struct zip_end {
  std::int64_t count = -1, length = -1, offset = -1;
  std::uint16_t disk = 0;
  std::string before{}, between{}, after{};  // bytes in front of the file, before its directory, after all
  bool with_64 = false;
  std::int64_t offset_64 = -1, count_64 = -1, end_64 = -1;
};

inline std::string zip(const std::vector<zip_entry>& entries, const zip_end& end = {}) {
  std::string text = end.before, directory;
  for (const zip_entry& entry : entries) {
    const auto number = [](std::int64_t wanted, std::size_t real) {
      return static_cast<std::uint64_t>(wanted < 0 ? static_cast<std::int64_t>(real) : wanted);
    };
    const std::string& local_name = entry.local_name.empty() ? entry.name : entry.local_name;
    const auto local_size = number(entry.local_size, entry.data.size());
    directory += "PK\1\2" + u16(0) + u16(0) + u16(entry.flags) + u16(entry.method) + u32(0) + u32(0) +
                 u32(number(entry.packed, entry.data.size())) + u32(number(entry.size, entry.data.size())) +
                 u16(entry.name.size()) + u16(entry.extra.size()) + u16(0) + u16(entry.disk) + u16(0) + u32(0) +
                 u32(number(entry.offset, text.size())) + entry.name + entry.extra;
    text += "PK\3\4" + u16(0) + u16(entry.flags) + u16(entry.method) + u32(0) + u32(0) + u32(local_size) +
            u32(local_size) + u16(local_name.size()) + u16(0) + local_name + entry.data;
  }
  text += end.between;
  const std::size_t begin = text.size(), finish = begin + directory.size();
  text += directory;
  if (end.with_64) {
    const std::uint64_t count = end.count_64 < 0 ? entries.size() : static_cast<std::uint64_t>(end.count_64);
    text += "PK\6\6" + u64(44) + u16(45) + u16(45) + u32(0) + u32(0) + u64(count) + u64(count) + u64(directory.size()) +
            u64(end.offset_64 < 0 ? begin : static_cast<std::uint64_t>(end.offset_64));
    text += "PK\6\7" + u32(0) + u64(end.end_64 < 0 ? finish : static_cast<std::uint64_t>(end.end_64)) + u32(1);
  }
  const auto or_real = [](std::int64_t wanted, std::size_t real) {
    return wanted < 0 ? static_cast<std::uint64_t>(real) : static_cast<std::uint64_t>(wanted);
  };
  text += "PK\5\6" + u16(end.disk) + u16(0) + u16(or_real(end.count, entries.size())) +
          u16(or_real(end.count, entries.size())) + u32(or_real(end.length, directory.size())) +
          u32(or_real(end.offset, begin)) + u16(0) + end.after;
  return text;
}

// Pickles.

inline std::string global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}
inline std::string text(const std::string& string) { return "X" + u32(string.size()) + string; }
inline std::string number(std::int64_t n) { return std::string{"\x8a\x08"} + little_endian(n); }
inline std::string numbers(std::initializer_list<std::int64_t> all) {
  std::string tuple = "(";
  for (const std::int64_t n : all) tuple += number(n);
  return tuple + "t";
}
inline std::string storage(const std::string& type, const std::string& key, std::int64_t count) {
  return "(" + text("storage") + global("torch", type) + text(key) + text("cpu") + number(count) + "tQ";
}
inline std::string tensor(const std::string& from, std::int64_t offset, std::initializer_list<std::int64_t> sizes,
                          std::initializer_list<std::int64_t> strides) {
  return global("torch._utils", "_rebuild_tensor_v2") + "(" + from + number(offset) + numbers(sizes) +
         numbers(strides) + "\x89" + global("collections", "OrderedDict") + ")RtR";
}
inline std::string item(const std::string& name, const std::string& value) { return text(name) + value; }
inline std::string dict(const std::string& items) { return "}(" + items + "u"; }
inline std::string pickle(const std::string& value) { return "\x80\x02" + value + "."; }

/// A whole .bin with this pickle and one storage `0` of six floats.
inline std::string bin(const std::string& pickle_bytes) {
  std::string data;
  for (int i = 0; i < 6; ++i) data += little_endian(static_cast<float>(i));
  return zip({{"archive/data.pkl", pickle_bytes},
              {"archive/byteorder", "little"},
              {"archive/data/0", data},
              {"archive/version", "3\n"}});
}

// safetensors.

inline std::string safetensors(const std::string& header, const std::string& data) {
  return u64(header.size()) + header + data;
}

}  // namespace attack
