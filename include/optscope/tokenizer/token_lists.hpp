// SPDX-License-Identifier: MIT
#pragma once
// Token ids from a JSON file: a list of lists.

#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>

namespace optscope {

/// Reads `[[2, 100, 47], [2, 4]]`: ids as they are, nothing added, no list empty. Throws `file_error`, or `bad_input`
/// that names list and item, both counted from 0.
[[nodiscard]] token_batch read_token_lists(const std::filesystem::path& path);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/token_lists.ipp>
#endif
