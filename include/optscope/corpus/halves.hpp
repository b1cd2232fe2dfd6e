// SPDX-License-Identifier: MIT
#pragma once
// A corpus in two halves, so that nothing is measured on the texts that choices are made from.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/corpus/corpus.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// How much of each category is read.
struct halving {
  std::size_t scoring_tokens = ~std::size_t{0} / 2;  ///< of the first half, BOS not counted; the last text is cut
  std::size_t measured_texts = ~std::size_t{0};      ///< of the second half
  std::size_t content_bytes = ~std::size_t{0};       ///< of `contents`; the text in which this is reached is whole
  std::size_t shortest = 8;                          ///< tokens that every text must have
  bool swapped = false;                              ///< what is scored otherwise is measured, and the reverse
};

/// The halves: every second text of a category is in `measured`, the others in `scoring`. A category's only text is
/// cut in the middle.
struct corpus_halves {
  corpus scoring, measured;
  std::vector<std::vector<std::string>> contents;  ///< [category][text]: of the first half, as in the files
};

/// Reads the texts of a corpus that was found (`find_corpus`) and has `words`. Throws what `corpus::read` throws, and
/// `bad_input` for a text below `how.shortest` tokens.
[[nodiscard]] corpus_halves read_halves(const corpus& found, const halving& how = {});

/// Two parts of a corpus that share no text: every second text of a category is in the second. A category's only text
/// is cut in the middle.
[[nodiscard]] std::pair<corpus, corpus> parts_of(const corpus& all);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/corpus/halves.ipp>
#endif
