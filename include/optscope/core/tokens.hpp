// SPDX-License-Identifier: MIT
#pragma once
// Token ids and batches of them.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <vector>

namespace optscope {

/// Index into a model's vocabulary.
using token_id = std::int32_t;

/// One text as token ids, with BOS if the tokenizer adds one.
using token_list = std::vector<token_id>;

/// Texts, each of any length; there is no padding.
using token_batch = std::vector<token_list>;

/// Cuts each text to at most `length` tokens.
[[nodiscard]] token_batch trim(token_batch texts, std::size_t length);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/tokens.ipp>
#endif
