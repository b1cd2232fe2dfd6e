// SPDX-License-Identifier: MIT
#pragma once
// tokenizer_config.json, special_tokens_map.json and added_tokens.json: special tokens and what is put around a text.

#include <filesystem>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/tokenizer/vocabulary.hpp>
#include <string>
#include <vector>

namespace optscope {

/// A token that is looked for in a text before the text is split into words.
struct added_token {
  std::string content;
  token_id id = 0;
  bool special = true;  ///< left out by `decode(…, true)`
};

/// The settings of a folder, as transformers 5 reads them: special_tokens_map.json goes before tokenizer_config.json,
/// unless that has `added_tokens_decoder`; a token that a file names and the vocabulary lacks gets the next id; begin,
/// end and unknown are `<|endoftext|>` where no file says otherwise (left out here if the vocabulary lacks it).
struct tokenizer_settings {
  bool add_bos = false, add_eos = false, add_prefix_space = false;
  std::optional<token_id> bos, eos, pad;
  std::vector<added_token> added;

  /// No files: nothing is added to a text. Adds to `words` the tokens that it lacks.
  explicit tokenizer_settings(vocabulary& words);

  /// Reads what `folder` has of the three files. Throws `tokenizer_error` that names file and key.
  tokenizer_settings(const std::filesystem::path& folder, vocabulary& words);
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/tokenizer_settings.ipp>
#endif
