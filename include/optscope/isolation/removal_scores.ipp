// SPDX-License-Identifier: MIT
#pragma once
// Bodies of removal_scores.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <optscope/isolation/removal_scores.hpp>

namespace optscope {

OPTSCOPE_INLINE double scored_texts::mean_of_others(std::size_t kept, unit_statistic statistic,
                                                    std::size_t unit) const {
  double sum = 0;
  for (std::size_t c = 0; c < categories(); ++c) sum += c == kept ? 0 : mean(c, statistic, unit);
  return sum / static_cast<double>(categories() - 1);
}

namespace detail {

/// NaN for a unit that the others never use: removing it would change nothing.
inline double ratio_or_nan(double others, double own, double floor) {
  return others == 0 ? std::numeric_limits<double>::quiet_NaN() : others / (own + floor);
}

OPTSCOPE_INLINE std::vector<double> activation_ratios(const scored_texts& texts, std::size_t kept,
                                                      unit_statistic statistic) {
  std::vector<double> score(texts.sums.units().size());
  for (std::size_t u = 0; u < score.size(); ++u) {
    const double own = std::abs(texts.mean(kept, statistic, u));
    score[u] = ratio_or_nan(std::abs(texts.mean_of_others(kept, statistic, u)), own, 1e-6);
  }
  return score;
}

OPTSCOPE_INLINE std::vector<double> largest_ratios(const scored_texts& texts, std::size_t kept,
                                                   unit_statistic statistic) {
  std::vector<double> score(texts.sums.units().size());
  for (std::size_t u = 0; u < score.size(); ++u) {
    double others = 0;
    for (std::size_t c = 0; c < texts.categories(); ++c) {
      if (c != kept) others = std::max(others, std::abs(texts.mean(c, statistic, u)));
    }
    score[u] = ratio_or_nan(others, std::abs(texts.mean(kept, statistic, u)), 1e-6);
  }
  return score;
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<double> mean_difference::operator()(const scored_texts& texts, std::size_t kept) const {
  std::vector<double> score(texts.sums.units().size());
  for (std::size_t u = 0; u < score.size(); ++u) {
    score[u] = texts.mean_of_others(kept, unit_statistic::mean, u) - texts.mean(kept, unit_statistic::mean, u);
  }
  return score;
}

OPTSCOPE_INLINE std::vector<double> attribution_ratio::operator()(const scored_texts& texts, std::size_t kept) const {
  const loss_attribution& loss = *texts.loss;
  std::vector<double> score(texts.sums.units().size());
  for (std::size_t u = 0; u < score.size(); ++u) {
    double others = 0;
    for (std::size_t c = 0; c < texts.categories(); ++c) {
      if (c != kept) others += loss.magnitude[c][u] / loss.tokens[c];
    }
    score[u] = detail::ratio_or_nan(others, loss.magnitude[kept][u] / loss.tokens[kept], 1e-12);
  }
  return score;
}

OPTSCOPE_INLINE std::vector<double> ratio_and_attribution::operator()(const scored_texts& texts,
                                                                      std::size_t kept) const {
  const std::vector<double>& effect = texts.loss->effect[texts.categories() + kept];
  const std::vector<double> ratio = detail::activation_ratios(texts, kept, unit_statistic::rms);
  std::vector<double> score = ratio;
  for (const unit_kind kind : {unit_kind::neuron, unit_kind::head}) {
    std::vector<std::size_t> numbers = texts.sums.units().all(kind);
    std::erase_if(numbers, [&](std::size_t u) { return std::isnan(ratio[u]); });
    for (const std::size_t u : numbers) score[u] = 0;
    const auto add_ranks = [&](const std::vector<double>& by, double weight) {
      std::stable_sort(numbers.begin(), numbers.end(), [&](std::size_t a, std::size_t b) { return by[a] < by[b]; });
      for (std::size_t rank = 0; rank < numbers.size(); ++rank) {
        score[numbers[rank]] += weight * static_cast<double>(rank) / static_cast<double>(numbers.size());
      }
    };
    add_ranks(ratio, 1);
    add_ranks(effect, part);
  }
  return score;
}

OPTSCOPE_INLINE std::vector<double> ablation_effect::operator()(const scored_texts& texts, std::size_t kept) const {
  const auto change = &loss_gain::magnitude;
  const std::vector<double> own = texts.ablation->mean(kept, change);
  const auto others = static_cast<double>(texts.categories() - 1);
  std::vector<double> score(own.size());
  for (std::size_t c = 0; c < texts.categories(); ++c) {
    if (c == kept) continue;
    const std::vector<double> other = texts.ablation->mean(c, change);
    for (std::size_t u = 0; u < score.size(); ++u) score[u] += other[u] / others;
  }
  for (std::size_t u = 0; u < score.size(); ++u) {
    score[u] = score[u] == 0 ? std::numeric_limits<double>::quiet_NaN() : (score[u] + floor) / (own[u] + floor);
  }
  return score;
}

}  // namespace optscope
