// SPDX-License-Identifier: MIT
#pragma once
// Which two neighbours become one token, and how early: merges.txt, or a part of tokenizer.json.

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/core/json.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// The merges of a byte-pair encoding by rank; the first line has rank 0. Each line holds two entries of the
/// vocabulary with a space between them; the two joined are an entry too. Lines that begin with `#version` are skipped.
/// LF and CR LF both end a line.
class merge_table {
 public:
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  /// What a pair becomes; `rank` is `none` for a pair that is not merged.
  struct merge {
    std::uint32_t rank = none;
    token_id product = 0;
  };

  /// Throws `file_error` if `path` cannot be read, `tokenizer_error` with the line if it is not as described above.
  merge_table(const std::filesystem::path& path, const vocabulary& words);

  /// The same of a list inside a file: of strings `"a b"`, or of lists `["a", "b"]`, as tokenizers since 0.20 writes.
  /// `item` names it in messages. Throws the file's type of error.
  merge_table(const json_file& file, const json_value& list, const std::string& item, const vocabulary& words);

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
  void grow(std::size_t slots);
  // Both call `fail(expected, found)`, which throws.
  template <class Fail>
  static std::pair<std::string_view, std::string_view> two_entries(std::string_view line, Fail&& fail);
  template <class Fail>
  void add(std::string_view left, std::string_view right, const vocabulary& words, Fail&& fail);
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

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/merges.ipp>
#endif
