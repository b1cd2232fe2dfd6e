// SPDX-License-Identifier: MIT
#pragma once
// merges.txt: which two neighbours become one token, and how early.

#include <bit>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <optscope/core/errors.hpp>
#include <optscope/core/mapped_file.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// The merges of a byte-pair encoding by rank; the first line has rank 0. Lines are two entries of the vocabulary with
/// a space between, whose union is in the vocabulary too; lines that begin with `#version` are skipped, LF and CR LF
/// both end a line. Anything else is a `tokenizer_error` that names the line.
class merge_table {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  /// What a pair becomes; `rank` is `none` for a pair that is not merged.
  struct merge {
    std::uint32_t rank = none;
    token_id product = 0;
  };

  merge_table(const std::filesystem::path& path, const vocabulary& words) {
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
        fail("two entries with a space between", detail::quoted(line));
      }
      const std::string_view left = line.substr(0, space), right = line.substr(space + 1);
      const std::string both = std::string{left} + std::string{right};
      const auto id_of = [&](std::string_view entry) {
        const auto id = words.find(entry);
        if (!id) fail("entries of the vocabulary", detail::quoted(entry) + ", which is not in it");
        return *id;
      };
      const token_id l = id_of(left), r = id_of(right), product = id_of(both);
      slot& place = slots_[probe(key(l, r))];
      if (place.key != empty) fail("every merge once", detail::quoted(line) + " again");
      place = {key(l, r), {static_cast<std::uint32_t>(size_++), product}};
      if (2 * size_ == slots_.size()) grow(2 * slots_.size());
    }
  }

  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  [[nodiscard]] merge find(token_id left, token_id right) const noexcept {
    return slots_[probe(key(left, right))].content;
  }

 private:
  static constexpr std::uint64_t empty = ~std::uint64_t{0};
  struct slot {
    std::uint64_t key = empty;
    merge content;
  };

  static std::uint64_t key(token_id left, token_id right) noexcept {
    return static_cast<std::uint64_t>(left) << 32 | static_cast<std::uint32_t>(right);
  }
  void grow(std::size_t slots) {
    std::vector<slot> old(slots);
    old.swap(slots_);
    shift_ = 64 - std::countr_zero(slots_.size());
    for (const slot& each : old) {
      if (each.key != empty) slots_[probe(each.key)] = each;
    }
  }
  [[nodiscard]] std::size_t probe(std::uint64_t key) const noexcept {
    std::size_t place = key * 0x9e3779b97f4a7c15u >> shift_;
    while (slots_[place].key != key && slots_[place].key != empty) place = (place + 1) & (slots_.size() - 1);
    return place;
  }

  std::vector<slot> slots_;  // open addressing: at least half are empty
  int shift_ = 0;
  std::size_t size_ = 0;
};

}  // namespace optscope
