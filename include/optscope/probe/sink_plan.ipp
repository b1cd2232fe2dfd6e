// SPDX-License-Identifier: MIT
#pragma once
// Bodies of sink_plan.hpp.

#include <algorithm>
#include <optscope/probe/sink_plan.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE std::vector<sink_plan::item> sink_plan::items(const capture_storage<float>& what) {
  std::vector<item> all;
  std::size_t end = 0;
  for (std::size_t text = 0; text < lengths_.size(); ++text) {
    for_each_tensor(what, [&](std::size_t site, std::size_t layer) {
      const site_info& info = *what.sites()[site];
      const auto extents = what.extents(site, shape_, lengths_[text], text);
      end += sizeof(float) * extents[0] * extents[1] * extents[2];
      std::vector<std::size_t> shape{extents.begin(), extents.begin() + static_cast<std::ptrdiff_t>(info.rank())};
      all.push_back({std::to_string(text) + "." + name_of(info, layer), std::move(shape)});
    });
    ends_.push_back(end);
  }
  return all;
}

OPTSCOPE_INLINE std::size_t sink_plan::resume_after(std::size_t bytes) {
  while (next_ < lengths_.size() && ends_[next_] <= bytes) ++next_;
  return next_ == 0 ? 0 : ends_[next_ - 1];
}

OPTSCOPE_INLINE std::size_t sink_plan::next_batch(std::size_t most_bytes) const {
  std::size_t count = 0, bytes = 0;
  for (; next_ + count < lengths_.size(); ++count) {
    const std::size_t text = next_ + count;
    bytes += ends_[text] - (text == 0 ? 0 : ends_[text - 1]) + lengths_[text] * shape_.hidden * sizeof(float);
    if (count != 0 && bytes > most_bytes) break;
  }
  return count;
}

OPTSCOPE_INLINE void sink_plan::check(const run_plan& plan) const {
  const std::string expected = "a run over whole texts from number " + std::to_string(next_);
  const auto refuse = [&](const std::string& found) { throw bad_input{"", "sink", expected, found}; };
  if (plan.lengths.size() > lengths_.size() - next_) {
    refuse(std::to_string(plan.lengths.size()) + " texts, where " + std::to_string(lengths_.size() - next_) +
           " are left");
  }
  for (std::size_t i = 0; i < plan.lengths.size(); ++i) {
    if (plan.first_position(i) != 0) refuse("a text that continues after position " + std::to_string(plan.cached[i]));
    if (plan.lengths[i] == lengths_[next_ + i]) continue;
    refuse(std::to_string(plan.lengths[i]) + " tokens for text " + std::to_string(next_ + i) + ", which has " +
           std::to_string(lengths_[next_ + i]));
  }
}

}  // namespace optscope::detail
