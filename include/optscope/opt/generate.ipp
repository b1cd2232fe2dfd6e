// SPDX-License-Identifier: MIT
#pragma once
// Bodies of generate.hpp.

#include <algorithm>
#include <optscope/opt/generate.hpp>
#include <span>

namespace optscope::detail {

OPTSCOPE_INLINE generation_state::generation_state(const token_batch& prompts, const generation& what)
    : what_{what}, found_(prompts.size()), next_{prompts}, so_far_{what.rules.any() ? prompts : token_batch{}} {
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    sampling how = what.how;
    how.seed += i * what.seed_step;
    samplers_.emplace_back(how);
  }
}

template <class T>
bool generation_state::choose(tensor_view<const T, 2> logits, const cached_texts& cache, std::size_t max_positions,
                              thread_pool& pool) {
  ++steps_;
  const bool ask = what_.enough && steps_ % std::max<std::size_t>(1, what_.enough_every) == 0;
  pool.parallel_for(next_.size(), [&](std::size_t i, std::size_t) {
    if (next_[i].empty()) return;
    token_id id;
    if (so_far_.empty()) {
      id = samplers_[i](logits.row(i), what_.tokens, what_.banned);
    } else {
      std::vector<T> own(logits.row(i).begin(), logits.row(i).end());
      std::vector<bool> banned = what_.banned;
      banned.resize(own.size());
      what_.rules.apply<T>(own, banned, so_far_[i], found_[i].empty(), steps_ == what_.new_tokens);
      id = samplers_[i](std::span<const T>{own}, what_.tokens, banned);
      so_far_[i].push_back(id);
    }
    found_[i].push_back(id);
    const bool ended = std::ranges::find(what_.stop, id) != what_.stop.end() || cache.length(i) == max_positions ||
                       (ask && what_.enough(found_[i]));
    next_[i] = ended ? token_list{} : token_list{id};
  });
  return std::ranges::any_of(next_, [](const token_list& tokens) { return !tokens.empty(); });
}

#ifdef OPTSCOPE_COMPILED
template bool generation_state::choose(tensor_view<const float, 2>, const cached_texts&, std::size_t, thread_pool&);
template bool generation_state::choose(tensor_view<const double, 2>, const cached_texts&, std::size_t, thread_pool&);
#endif

}  // namespace optscope::detail
