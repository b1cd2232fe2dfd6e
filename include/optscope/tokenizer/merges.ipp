// SPDX-License-Identifier: MIT
#pragma once
// Bodies of merges.hpp.

#include <algorithm>
#include <bit>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/tokenizer/merges.hpp>
#include <string>
#include <string_view>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE merge_table::merge_table(const std::filesystem::path& path, const vocabulary& words) {
  const mapped_file file{path};
  const std::string_view text{reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
  grow(std::size_t{1} << 10);
  std::size_t number = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    ++number;
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (line.starts_with("#version")) continue;
    const auto fail = [&](std::string expected, std::string found) {
      throw tokenizer_error{path.string(), "line " + std::to_string(number), std::move(expected), std::move(found)};
    };
    const std::size_t space = line.find(' ');
    if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
        line.find(' ', space + 1) != std::string_view::npos) {
      fail("two entries separated by one space", detail::quoted(line));
    }
    const std::string_view left = line.substr(0, space), right = line.substr(space + 1);
    const std::string both = std::string{left} + std::string{right};
    const auto id_of = [&](std::string_view entry) {
      const auto id = words.find(entry);
      if (!id) fail("entries of the vocabulary", detail::quoted(entry) + ", which is not in vocab.json");
      return *id;
    };
    const token_id l = id_of(left), r = id_of(right), product = id_of(both);
    slot& place = slots_[probe(key(l, r))];
    if (place.key != empty) fail("each merge once", detail::quoted(line) + " a second time");
    place = {key(l, r), {static_cast<std::uint32_t>(size_++), product}};
    if (2 * size_ == slots_.size()) grow(2 * slots_.size());
  }
}

OPTSCOPE_INLINE void merge_table::grow(std::size_t slots) {
  std::vector<slot> old(slots);
  old.swap(slots_);
  shift_ = 64 - std::countr_zero(slots_.size());
  for (const slot& each : old) {
    if (each.key != empty) slots_[probe(each.key)] = each;
  }
}

}  // namespace optscope
