// SPDX-License-Identifier: MIT
#pragma once
// Token ids from a file: a JSON list of lists, or a list per line.

#include <filesystem>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>

namespace optscope {

/// Reads `[[2, 100, 47], [2, 4]]`, or `[2, 100, 47]` on a line for each text: ids as they are, nothing added, no list
/// empty. Throws `file_error`, or `bad_input` that names the list and the item, counted from 0, or the line.
[[nodiscard]] token_batch read_token_lists(const std::filesystem::path& path);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/tokenizer/token_lists.ipp>
#endif
