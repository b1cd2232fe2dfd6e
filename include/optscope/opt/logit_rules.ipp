// SPDX-License-Identifier: MIT
#pragma once
// Bodies of logit_rules.hpp.

#include <algorithm>
#include <optscope/checkpoint/generation_config.hpp>
#include <optscope/opt/logit_rules.hpp>

namespace optscope {

OPTSCOPE_INLINE logit_rules::logit_rules(const generation_config& values)
    : repetition_penalty{values.repetition_penalty},
      no_repeat_ngram_size{values.no_repeat_ngram_size},
      bad_words{values.bad_words_ids},
      suppressed{values.suppress_tokens},
      first_suppressed{values.begin_suppress_tokens},
      forced_last{values.forced_eos_token_ids} {
  std::erase_if(bad_words, [&](const token_list& word) {
    return word.size() == 1 && std::ranges::find(values.eos_token_ids, word[0]) != values.eos_token_ids.end();
  });
}

OPTSCOPE_INLINE bool logit_rules::any() const noexcept {
  return repetition_penalty != 1 || no_repeat_ngram_size != 0 || !bad_words.empty() || !suppressed.empty() ||
         !first_suppressed.empty() || !forced_last.empty();
}

template <class T>
void logit_rules::apply(std::span<T> logits, std::vector<bool>& banned, const token_list& so_far, bool first,
                        bool last) const {
  const auto ban = [&](token_id id) {
    if (id >= 0 && static_cast<std::size_t>(id) < banned.size()) banned[static_cast<std::size_t>(id)] = true;
  };
  if (repetition_penalty != 1) {
    token_list there = so_far;
    std::ranges::sort(there);
    there.erase(std::unique(there.begin(), there.end()), there.end());
    for (const token_id id : there) {
      if (id < 0 || static_cast<std::size_t>(id) >= logits.size()) continue;
      T& logit = logits[static_cast<std::size_t>(id)];
      const T penalty = static_cast<T>(repetition_penalty);
      logit = logit < 0 ? logit * penalty : logit / penalty;
    }
  }
  const auto ends_with = [&](auto begin, auto end) {
    return end - begin <= std::ssize(so_far) && std::equal(begin, end, so_far.end() - (end - begin));
  };
  if (const auto n = static_cast<std::ptrdiff_t>(no_repeat_ngram_size); n > 0) {
    for (std::ptrdiff_t at = 0; at + n <= std::ssize(so_far); ++at) {
      const auto begin = so_far.begin() + at;
      if (ends_with(begin, begin + n - 1)) ban(begin[n - 1]);
    }
  }
  for (const token_list& word : bad_words) {
    if (ends_with(word.begin(), word.end() - 1)) ban(word.back());
  }
  if (last && !forced_last.empty()) {
    banned.assign(banned.size(), true);
    for (const token_id id : forced_last) {
      if (static_cast<std::size_t>(id) >= banned.size()) continue;
      banned[static_cast<std::size_t>(id)] = false;
      logits[static_cast<std::size_t>(id)] = 0;
    }
  }
  for (const token_id id : suppressed) ban(id);
  if (!first) return;
  for (const token_id id : first_suppressed) ban(id);
}

#ifdef OPTSCOPE_COMPILED
template void logit_rules::apply(std::span<float>, std::vector<bool>&, const token_list&, bool, bool) const;
template void logit_rules::apply(std::span<double>, std::vector<bool>&, const token_list&, bool, bool) const;
#endif

}  // namespace optscope
