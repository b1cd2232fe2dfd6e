// SPDX-License-Identifier: MIT
#pragma once
// Bodies of probe.hpp.

#include <optscope/core/probe.hpp>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE std::string run_plan::name_of(std::size_t text) const {
  return text < names.size() ? names[text] : "text " + std::to_string(text);
}

OPTSCOPE_INLINE void run_plan::refuse(std::size_t text, std::string expected, std::string found) const {
  const bool named = text < names.size();
  throw bad_input{named ? names[text] : "", named ? "" : name_of(text), std::move(expected), std::move(found)};
}

OPTSCOPE_INLINE std::vector<std::size_t> detail::rows_among(const std::vector<std::size_t>& positions,
                                                            std::size_t first, std::size_t count) {
  std::vector<std::size_t> rows;
  for (const std::size_t position : positions) {
    if (position >= first && position - first < count) rows.push_back(position - first);
  }
  return rows;
}

}  // namespace optscope
