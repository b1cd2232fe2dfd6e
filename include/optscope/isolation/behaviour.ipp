// SPDX-License-Identifier: MIT
#pragma once
// Bodies of behaviour.hpp.

#include <numeric>
#include <optscope/isolation/behaviour.hpp>

namespace optscope {

OPTSCOPE_INLINE std::size_t behaviour::prompts(std::size_t category) const {
  return std::accumulate(judged[category].begin(), judged[category].end(), std::size_t{0});
}

OPTSCOPE_INLINE counted behaviour::turned(std::size_t kept) const {
  counted result;
  for (std::size_t c = 0; c < judged.size(); ++c) {
    if (c == kept) continue;
    result.hits += judged[c][kept];
    result.all += prompts(c);
  }
  return result;
}

OPTSCOPE_INLINE counted behaviour::passing_of_others(std::size_t kept) const {
  counted result;
  for (std::size_t c = 0; c < judged.size(); ++c) {
    if (c == kept) continue;
    result.hits += passing[c];
    result.all += prompts(c);
  }
  return result;
}

OPTSCOPE_INLINE behaviour pooled(std::span<const behaviour> all) {
  behaviour result = all.front();
  result.written.clear();
  for (const behaviour& each : all.subspan(1)) {
    for (std::size_t c = 0; c < result.judged.size(); ++c) {
      result.passing[c] += each.passing[c];
      for (std::size_t k = 0; k < result.judged[c].size(); ++k) result.judged[c][k] += each.judged[c][k];
    }
    for (std::size_t c = 0; c < result.loss.size(); ++c) result.loss[c] += each.loss[c];
  }
  for (double& each : result.loss) each /= static_cast<double>(all.size());
  return result;
}

}  // namespace optscope
