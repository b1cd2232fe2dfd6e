// SPDX-License-Identifier: MIT
#pragma once
// Bodies of replace.hpp.

#include <optscope/probe/replace.hpp>
#include <string>

namespace optscope {

OPTSCOPE_INLINE double half_sample_mode(std::span<double> values) {
  std::ranges::sort(values);
  while (values.size() > 2) {
    const std::size_t half = (values.size() + 1) / 2;
    std::size_t best = 0;
    for (std::size_t i = 1; i + half <= values.size(); ++i) {
      if (values[i + half - 1] - values[i] < values[best + half - 1] - values[best]) best = i;
    }
    if (half == 2 && values.size() == 3 && values[2] - values[1] == values[1] - values[0]) return values[1];
    values = values.subspan(best, half);
  }
  return values.size() == 2 ? (values[0] + values[1]) / 2 : values[0];
}

namespace detail {

OPTSCOPE_INLINE double mean_of(std::span<double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

OPTSCOPE_INLINE void require_captured_width(std::size_t expected, std::size_t found) {
  if (found >= expected) return;
  throw bad_input{"", "patch", "captured rows of at least " + std::to_string(expected) + " elements",
                  std::to_string(found)};
}

OPTSCOPE_INLINE void check_recorded(const run_plan& plan, std::size_t text, const std::vector<std::size_t>& positions,
                                    bool all, std::optional<std::size_t> recorded, const std::string& item) {
  const std::size_t tokens = plan.total(text);
  const auto refuse = [&](const std::string& expected, const std::string& found) {
    throw bad_input{"", item, expected, found};
  };
  if (!recorded) refuse("a recorded text for each that is patched", "none for " + plan.name_of(text));
  // With a cache more may follow.
  if (all && (*recorded < tokens || (*recorded > tokens && plan.cached.empty()))) {
    refuse("a recording with as many tokens as " + plan.name_of(text) + ", " + std::to_string(tokens),
           std::to_string(*recorded));
  }
  const std::size_t last = *std::ranges::max_element(positions);
  if (last >= *recorded) {
    refuse("a recording with position " + std::to_string(last) + " for " + plan.name_of(text),
           std::to_string(*recorded) + " tokens");
  }
}

inline std::uint64_t mixed(std::uint64_t x) {  // the finaliser of SplitMix64
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

OPTSCOPE_INLINE std::uint64_t draw_of(std::uint64_t seed, std::size_t text, std::size_t other) {
  return mixed(mixed(seed + 1) ^ mixed(mixed(text + 1) + other));
}

}  // namespace detail

}  // namespace optscope
