// SPDX-License-Identifier: MIT
#pragma once
// What transformers' logits processors do before a token is chosen.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <span>
#include <vector>

namespace optscope {

struct generation_config;

/// Changes logits and forbids tokens by what has been written so far, prompt included, as transformers does with the
/// keys of generation_config.json that have these names; the order is its own.
struct logit_rules {
  double repetition_penalty = 1;         ///< logits of ids that are there: divided by it if positive, else multiplied
  std::size_t no_repeat_ngram_size = 0;  ///< no n ids that are there already; 0: any
  std::vector<token_list> bad_words{};   ///< none of them is completed
  std::vector<token_id> suppressed{};    ///< never chosen
  std::vector<token_id> first_suppressed{};  ///< not chosen as the first new id
  std::vector<token_id> forced_last{};       ///< the last of the new tokens asked for is one of them

  logit_rules() = default;

  /// Those of a checkpoint. A bad word that is one id of `eos_token_ids` is left out, as in transformers.
  explicit logit_rules(const generation_config& values);

  /// Whether there are any.
  [[nodiscard]] bool any() const noexcept;

  /// Changes `logits`, whose length is the vocabulary, and sets `banned`, of the same length. `so_far` is the prompt
  /// and the new ids; `first` and `last` say which token is chosen.
  template <class T>
  void apply(std::span<T> logits, std::vector<bool>& banned, const token_list& so_far, bool first, bool last) const;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/logit_rules.ipp>
#endif
