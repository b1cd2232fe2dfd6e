// SPDX-License-Identifier: MIT
#pragma once
// Byte-pair encoding of one word.

#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/merges.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <string_view>
#include <vector>

namespace optscope {

/// Merges neighbours, always the pair of the lowest rank and of those the leftmost, until no pair has a merge
/// (Sennrich et al. 2016; the order of Hugging Face's `Word::merge_all`). Scratch memory is kept between words.
class byte_pair_encoder {
 public:
  byte_pair_encoder(const vocabulary& words, const merge_table& merges) : words_{words}, merges_{merges} {}

  /// Appends the tokens of `word`, which is shorter than 4 GiB: O(n²) up to 48 bytes, O(n log n) beyond.
  void encode(std::string_view word, token_list& out);

 private:
  using merge = merge_table::merge;

  void merge_by_scanning();
  void merge_by_heap();

  [[nodiscard]] std::uint64_t entry(std::uint32_t i) const {
    return static_cast<std::uint64_t>(pairs_[i].rank) << 32 | i;
  }

  const vocabulary& words_;
  const merge_table& merges_;
  token_list ids_;
  std::vector<merge> pairs_;  // pairs_[i]: of symbol i and the one right of it
  std::vector<std::uint32_t> next_, previous_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/bpe.ipp>
#endif
