// SPDX-License-Identifier: MIT
#pragma once
// What has to be known of texts before they are compared: how long they are, and whether they are independent.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/corpus/corpus.hpp>
#include <string>
#include <vector>

namespace optscope {

/// A text of which a part is in another text, too.
struct shared_text {
  std::size_t text = 0, other = 0;  ///< `other`: the one with most of it
  double share = 0;                 ///< of the text's passages
};

struct text_survey {
  std::vector<std::size_t> lengths;  ///< [text]: tokens without BOS
  /// Texts of which at least a tenth of all passages of 32 tokens is in other texts, those with most of it first.
  /// Statistics that take texts for independent find too much in them.
  std::vector<shared_text> shared;
};

/// Reads all texts of a corpus that was found (`find_corpus`) and has `words`. Pieces of one document that share no
/// passage are not noticed. Throws what `corpus::read` throws, and `bad_input` for a text that is a copy of another.
[[nodiscard]] text_survey survey(const corpus& found);

/// "3 of 40 texts share passages of 32 tokens with others (code/a 40 % of them, with code/b)"; empty if none do.
[[nodiscard]] std::string shared_passages(const text_survey& known, const corpus& found);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/corpus/survey.ipp>
#endif
