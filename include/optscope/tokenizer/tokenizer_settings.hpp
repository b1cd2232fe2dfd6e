// SPDX-License-Identifier: MIT
#pragma once
// tokenizer_config.json, special_tokens_map.json and added_tokens.json: added tokens and what is put around a text.

#include <filesystem>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/added_tokens.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <vector>

namespace optscope {

class tokenizer_json;

/// The settings of a folder, as transformers 5 reads them: special_tokens_map.json goes before tokenizer_config.json,
/// unless that has `added_tokens_decoder`; a token that a file names and the vocabulary lacks gets the next id; begin,
/// end and unknown are `<|endoftext|>` where no file says otherwise (left out here if the vocabulary lacks it).
///
/// Where tokenizer.json is, it says what is put around a text, and `add_bos_token` and `add_eos_token` of
/// tokenizer_config.json are not read (a single token in front of a text is `bos`); its added tokens count unless
/// tokenizer_config.json has `added_tokens_decoder`. Of a `PreTrainedTokenizerFast` (`TokenizersBackend`) they always
/// count, as does its `add_prefix_space`, and no special token has a default.
struct tokenizer_settings {
  token_list before, after;  ///< put around a text
  bool add_prefix_space = false;
  bool split_special_tokens = false;  ///< special tokens in a text are text
  std::optional<token_id> bos, eos, pad;
  std::vector<added_token> added;

  /// No files: nothing is added to a text. Adds to `words` the tokens that it lacks.
  explicit tokenizer_settings(vocabulary& words);

  /// Reads what `folder` has of the three files; `whole` is its tokenizer.json, null if it has none. Throws
  /// `tokenizer_error` that names file and key.
  tokenizer_settings(const std::filesystem::path& folder, vocabulary& words, const tokenizer_json* whole = nullptr);
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/tokenizer_settings.ipp>
#endif
