// SPDX-License-Identifier: MIT
#pragma once
// Bodies of behaviour.hpp.

#include <cmath>
#include <limits>
#include <numeric>
#include <optscope/core/students_quantile.hpp>
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

OPTSCOPE_INLINE counted behaviour::loops_of_others(std::size_t kept) const {
  counted result;
  for (std::size_t c = 0; c < judged.size(); ++c) {
    if (c == kept) continue;
    result.hits += loops[c];
    result.all += prompts(c);
  }
  return result;
}

OPTSCOPE_INLINE counted behaviour::own(std::size_t category) const {
  return {.hits = judged[category][category], .all = prompts(category)};
}

OPTSCOPE_INLINE loss_change change_of_loss(const behaviour& before, const behaviour& after, std::size_t category) {
  double sum = 0, tokens = 0;
  loss_change result;
  for (std::size_t t = 0; t < before.of_texts.size(); ++t) {
    if (before.of_texts[t].category != category) continue;
    ++result.texts;
    sum += after.of_texts[t].nats - before.of_texts[t].nats;
    tokens += static_cast<double>(before.of_texts[t].tokens);
  }
  result.mean = sum / tokens;
  double squares = 0;
  for (std::size_t t = 0; t < before.of_texts.size(); ++t) {
    const text_loss& of = before.of_texts[t];
    if (of.category != category) continue;
    const double residual = after.of_texts[t].nats - of.nats - result.mean * static_cast<double>(of.tokens);
    squares += residual * residual;
  }
  const auto count = static_cast<double>(result.texts);
  const double half = result.texts < 2
                          ? std::numeric_limits<double>::quiet_NaN()
                          : students_quantile(count - 1) * std::sqrt(squares * count / (count - 1)) / tokens;
  result.low = result.mean - half;
  result.high = result.mean + half;
  return result;
}

OPTSCOPE_INLINE behaviour pooled(std::span<const behaviour> all) {
  behaviour result = all.front();
  result.written.clear();
  result.of_texts.clear();
  for (const behaviour& each : all.subspan(1)) {
    for (std::size_t c = 0; c < result.judged.size(); ++c) {
      result.passing[c] += each.passing[c];
      result.loops[c] += each.loops[c];
      for (std::size_t k = 0; k < result.judged[c].size(); ++k) result.judged[c][k] += each.judged[c][k];
    }
    for (std::size_t c = 0; c < result.loss.size(); ++c) result.loss[c] += each.loss[c];
  }
  for (double& each : result.loss) each /= static_cast<double>(all.size());
  return result;
}

}  // namespace optscope
