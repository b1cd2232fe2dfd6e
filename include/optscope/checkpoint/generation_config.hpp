// SPDX-License-Identifier: MIT
#pragma once
// generation_config.json: how transformers generates with a checkpoint.

#include <cstddef>
#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tokens.hpp>
#include <string>
#include <vector>

namespace optscope {

/// The values of generation_config.json under its names; a key that is absent or null has the value written here.
struct generation_config {
  std::vector<token_id> eos_token_ids{};  ///< key `eos_token_id`, one or a list
  std::vector<token_id> suppress_tokens{}, begin_suppress_tokens{};
  std::vector<token_list> bad_words_ids{};
  std::vector<token_id> forced_eos_token_ids{};  ///< key `forced_eos_token_id`, one or a list
  double repetition_penalty = 1;
  std::size_t no_repeat_ngram_size = 0;
  bool do_sample = false;
  double temperature = 1;  ///< this and the next two: of sampling only
  std::size_t top_k = 50;  ///< 0: all
  double top_p = 1;
  /// `FILE: KEY VALUE` of everything else that would change what transformers generates.
  std::vector<std::string> not_applied{};
};

/// Reads `folder/generation_config.json`. Where it is missing, the same keys of config.json count, as in transformers
/// 5; where it is there, they do not, `eos_token_id` included. Throws `file_error`, or `checkpoint_error` that names
/// the key.
[[nodiscard]] generation_config read_generation_config(const std::filesystem::path& folder);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/generation_config.ipp>
#endif
