// SPDX-License-Identifier: MIT
#pragma once
// What a row of logits says: the likeliest tokens, and where one of them stands.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <span>
#include <vector>

namespace optscope {

/// A token, how likely a row of logits makes it, and its place: 0 is the likeliest. By chance the place is half of the
/// vocabulary, the probability one part of it.
struct token_belief {
  token_id token = 0;
  double probability = 0;
  std::size_t place = 0;
};

/// The `count` likeliest tokens, in order; equal ones by their ids. Probabilities are over the whole row, tokens only
/// those below `tokens`: rows of a vocabulary may be padded. T is float or double.
template <class T>
[[nodiscard]] std::vector<token_belief> likeliest(std::span<const T> logits, std::size_t count, std::size_t tokens);

/// One token of the row.
template <class T>
[[nodiscard]] token_belief belief_in(std::span<const T> logits, token_id token);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/residual/likeliest.ipp>
#endif
