// SPDX-License-Identifier: MIT
#pragma once
// Bodies of behaviour.hpp.

#include <cmath>
#include <limits>
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

OPTSCOPE_INLINE double students_quantile(std::size_t degrees) {
  if (degrees == 1) return 12.7062;
  if (degrees == 2) return 4.30265;
  constexpr double z = 1.959964, z3 = z * z * z, z5 = z3 * z * z, z7 = z5 * z * z, z9 = z7 * z * z;
  const auto n = static_cast<double>(degrees);  // Cornish and Fisher's expansion (Abramowitz and Stegun, 26.7.5)
  return z + (z3 + z) / (4 * n) + (5 * z5 + 16 * z3 + 3 * z) / (96 * n * n) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * n * n * n) +
         (79 * z9 + 776 * z7 + 1482 * z5 - 1920 * z3 - 945 * z) / (92160 * n * n * n * n);
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
                          : students_quantile(result.texts - 1) * std::sqrt(squares * count / (count - 1)) / tokens;
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
