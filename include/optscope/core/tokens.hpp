// SPDX-License-Identifier: MIT
#pragma once
// Token ids and batches of them.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// Index into a model's vocabulary.
using token_id = std::int32_t;

/// One text as token ids, with BOS if the tokenizer adds one.
using token_list = std::vector<token_id>;

/// Texts, each of any length; there is no padding.
using token_batch = std::vector<token_list>;

/// Texts with names: a run over them names them in its errors, and a capture knows them. Anything that takes a batch
/// takes them.
///
///     for (const std::string file : {"a.txt", "b.txt"}) opt.run(words.encode_files({file}), probe);
struct named_texts : token_batch {
  std::vector<std::string> names;  ///< [text]: such as its file

  named_texts() = default;
  named_texts(token_batch texts, std::vector<std::string> names_of)
      : token_batch{std::move(texts)}, names{std::move(names_of)} {}
  /// One of them.
  [[nodiscard]] named_texts only(std::size_t text) const { return {{at(text)}, {names.at(text)}}; }
};

/// Cuts each text to at most `length` tokens.
[[nodiscard]] token_batch trim(token_batch texts, std::size_t length);
[[nodiscard]] named_texts trim(named_texts texts, std::size_t length);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/tokens.ipp>
#endif
