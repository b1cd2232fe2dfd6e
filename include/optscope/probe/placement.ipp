// SPDX-License-Identifier: MIT
#pragma once
// Bodies of placement.hpp.

#include <optscope/probe/placement.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE void placement::begin(const run_plan& plan) {
  if (!plan.continues) fired_ = 0;
  rows_.clear();
  for (std::size_t text = 0; text < plan.lengths.size(); ++text) rows_.push_back(where_.rows_of(plan, text));
  heads_ = where_.heads_of(plan.shape.heads);
}

OPTSCOPE_INLINE void placement::finish(std::string_view sites) const {
  if (fired_ != 0 || may_not_fire_) return;
  throw unfired_hook{"", text(sites), "something to edit", "no such place in what was run"};
}

OPTSCOPE_INLINE std::string placement::text(std::string_view sites) const {
  return operation_ + " at " + std::string{sites} + where_.text();
}

}  // namespace optscope::detail
