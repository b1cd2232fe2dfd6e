// SPDX-License-Identifier: MIT
#pragma once
// Bodies of bpe.hpp.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optscope/tokenizer/bpe.hpp>
#include <queue>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE void byte_pair_encoder::encode(std::string_view word, token_list& out) {
  if (word.size() == 1) {
    out.push_back(words_.of_byte(static_cast<unsigned char>(word[0])));
    return;
  }
  ids_.clear();
  for (const char c : word) ids_.push_back(words_.of_byte(static_cast<unsigned char>(c)));
  pairs_.clear();
  for (std::size_t i = 0; i + 1 < ids_.size(); ++i) pairs_.push_back(merges_.find(ids_[i], ids_[i + 1]));
  if (word.size() <= 48) {
    merge_by_scanning();
  } else {
    merge_by_heap();
  }
  out.insert(out.end(), ids_.begin(), ids_.end());
}

OPTSCOPE_INLINE void byte_pair_encoder::merge_by_scanning() {
  while (!pairs_.empty()) {
    const auto best =
        std::min_element(pairs_.begin(), pairs_.end(), [](const merge& a, const merge& b) { return a.rank < b.rank; });
    if (best->rank == merge_table::none) return;
    const auto i = best - pairs_.begin();
    ids_[i] = best->product;
    ids_.erase(ids_.begin() + i + 1);
    pairs_.erase(best);
    if (i > 0) pairs_[i - 1] = merges_.find(ids_[i - 1], ids_[i]);
    if (static_cast<std::size_t>(i) < pairs_.size()) pairs_[i] = merges_.find(ids_[i], ids_[i + 1]);
  }
}

// A linked list of the living symbols; the heap holds rank and place, and an entry whose rank is no longer that of
// its place is out of date.
OPTSCOPE_INLINE void byte_pair_encoder::merge_by_heap() {
  const auto n = static_cast<std::uint32_t>(ids_.size());
  pairs_.push_back({});  // the last symbol has no right neighbour
  next_.resize(n);
  previous_.resize(n);
  std::vector<std::uint64_t> entries;
  for (std::uint32_t i = 0; i < n; ++i) {
    next_[i] = i + 1;
    previous_[i] = i - 1;
    if (pairs_[i].rank != merge_table::none) entries.push_back(entry(i));
  }
  std::priority_queue<std::uint64_t, std::vector<std::uint64_t>, std::greater<>> heap{{}, std::move(entries)};
  const auto renew = [&](std::uint32_t i) {
    pairs_[i] = next_[i] < n ? merges_.find(ids_[i], ids_[next_[i]]) : merge{};
    if (pairs_[i].rank != merge_table::none) heap.push(entry(i));
  };
  while (!heap.empty()) {
    const auto rank = static_cast<std::uint32_t>(heap.top() >> 32);
    const auto i = static_cast<std::uint32_t>(heap.top());
    heap.pop();
    if (pairs_[i].rank != rank) continue;
    const std::uint32_t gone = next_[i];
    ids_[i] = pairs_[i].product;
    pairs_[gone] = {};
    next_[i] = next_[gone];
    if (next_[i] < n) previous_[next_[i]] = i;
    renew(i);
    if (i != 0) renew(previous_[i]);
  }
  std::uint32_t length = 0;
  for (std::uint32_t i = 0; i < n; i = next_[i]) ids_[length++] = ids_[i];
  ids_.resize(length);
}

}  // namespace optscope
