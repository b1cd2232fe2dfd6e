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
    const auto [left, right] = two_entries(line, fail);
    add(left, right, words, fail);
  }
}

OPTSCOPE_INLINE merge_table::merge_table(const json_file& file, const json_value& list, const std::string& item,
                                         const vocabulary& words) {
  std::vector<json_value> merges;
  if (!list.get(merges)) file.refuse(item, "a list of merges", list.description());
  grow(std::size_t{1} << 10);
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const auto fail = [&](std::string expected, std::string found) {
      file.refuse(item + ", item " + std::to_string(i), std::move(expected), std::move(found));
    };
    std::string_view line;
    std::vector<json_value> pair;
    if (merges[i].get(line)) {
      const auto [left, right] = two_entries(line, fail);
      add(left, right, words, fail);
    } else {
      std::string_view left, right;
      const bool two = merges[i].get(pair) && pair.size() == 2 && pair[0].get(left) && pair[1].get(right);
      if (!two || left.empty() || right.empty()) fail("two entries of the vocabulary", merges[i].description());
      add(left, right, words, fail);
    }
  }
}

template <class Fail>
std::pair<std::string_view, std::string_view> merge_table::two_entries(std::string_view line, Fail&& fail) {
  const std::size_t space = line.find(' ');
  if (space == 0 || space == std::string_view::npos || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    fail("two entries separated by one space", detail::quoted(line));
  }
  return {line.substr(0, space), line.substr(space + 1)};
}

template <class Fail>
void merge_table::add(std::string_view left, std::string_view right, const vocabulary& words, Fail&& fail) {
  const auto id_of = [&](std::string_view entry) {
    const auto id = words.find(entry);
    if (!id) fail("entries of the vocabulary", detail::quoted(entry) + ", which is not in it");
    return *id;
  };
  const token_id l = id_of(left), r = id_of(right), product = id_of(std::string{left}.append(right));
  slot& place = slots_[probe(key(l, r))];
  if (place.key != empty)
    fail("each merge once", detail::quoted(std::string{left}.append(" ").append(right)) + " a second time");
  place = {key(l, r), {static_cast<std::uint32_t>(size_++), product}};
  if (2 * size_ == slots_.size()) grow(2 * slots_.size());
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
