// SPDX-License-Identifier: MIT
#pragma once
// Bodies of positions.hpp.

#include <numeric>
#include <optscope/probe/positions.hpp>
#include <string>

namespace optscope {

OPTSCOPE_INLINE positions positions::all() {
  return positions{[](std::size_t length) {
    std::vector<std::size_t> result(length);
    std::iota(result.begin(), result.end(), std::size_t{0});
    return result;
  }};
}

OPTSCOPE_INLINE positions positions::last() {
  return positions{[](std::size_t length) { return std::vector{length - 1}; }};
}

OPTSCOPE_INLINE positions positions::strided(std::size_t first, std::size_t step, std::size_t count) {
  std::vector<std::size_t> list(count);
  for (std::size_t i = 0; i < count; ++i) list[i] = first + i * step;
  return these(std::move(list));
}

OPTSCOPE_INLINE positions positions::these(std::vector<std::size_t> list) {
  return positions{[list = std::move(list)](std::size_t) { return list; }};
}

OPTSCOPE_INLINE std::vector<std::size_t> positions::in(const run_plan& plan, std::size_t text) const {
  const std::size_t length = plan.total(text);
  std::vector<std::size_t> result = of(length);
  for (const std::size_t position : result) {
    if (position < length) continue;
    plan.refuse(text, "at least " + std::to_string(position + 1) + " tokens for position " + std::to_string(position),
                std::to_string(length) + " tokens");
  }
  return result;
}

}  // namespace optscope
