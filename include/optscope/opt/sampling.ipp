// SPDX-License-Identifier: MIT
#pragma once
// Bodies of sampling.hpp.

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optscope/backend/elementwise.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/opt/sampling.hpp>
#include <string>

namespace optscope {

template <class T>
token_id greedy(std::span<const T> logits, std::size_t tokens, const std::vector<bool>& banned) {
  std::size_t best = logits.size();
  for (std::size_t id = 0; id < std::min(tokens, logits.size()); ++id) {
    if (id < banned.size() && banned[id]) continue;
    if (!std::isfinite(logits[id])) {
      throw bad_input{"", "logit of token " + std::to_string(id), "a finite number", std::to_string(logits[id])};
    }
    if (best == logits.size() || logits[id] > logits[best]) best = id;
  }
  if (best == logits.size()) throw bad_input{"", "logits", "a token that may be chosen", "none"};
  return static_cast<token_id>(best);
}

OPTSCOPE_INLINE sampler::sampler(const sampling& how) : how_{how}, bits_{how.seed} {
  const auto check = [](bool right, const char* item, const char* expected, double found) {
    if (!right) throw bad_input{"", item, expected, std::to_string(found)};
  };
  check(how.temperature >= 0 && std::isfinite(how.temperature), "temperature", "0 or more", how.temperature);
  check(how.top_p > 0 && how.top_p <= 1, "top-p", "more than 0 and at most 1", how.top_p);
}

template <class T>
token_id sampler::operator()(std::span<const T> logits, std::size_t tokens, const std::vector<bool>& banned) {
  const token_id best = greedy(logits, tokens, banned);
  if (how_.temperature == 0) return best;
  keep(logits, logits[static_cast<std::size_t>(best)], std::min(tokens, logits.size()), banned);
  double mass = 0;
  for (const double weight : weights_) mass += weight;
  const double drawn = uniform() * mass;
  double sum = 0;
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    sum += weights_[i];
    if (drawn < sum) return ids_[i];
  }
  return ids_.back();  // rounding; the weights are never all zero
}

OPTSCOPE_INLINE std::vector<std::pair<token_id, double>> sampler::last_choice() const {
  double mass = 0;
  for (const double weight : weights_) mass += weight;
  std::vector<std::pair<token_id, double>> choice;
  for (std::size_t i = 0; i < ids_.size(); ++i) choice.emplace_back(ids_[i], weights_[i] / mass);
  return choice;
}

/// Uniform in [0, 1), from the upper 53 bits: std::uniform_real_distribution differs between libraries.
OPTSCOPE_INLINE double sampler::uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }

template <class T>
void sampler::keep(std::span<const T> logits, T largest, std::size_t tokens, const std::vector<bool>& banned) {
  weights_.resize(tokens);
  ids_.resize(tokens);
  std::iota(ids_.begin(), ids_.end(), token_id{0});
  const T temperature = std::max(static_cast<T>(how_.temperature), std::numeric_limits<T>::min());
  simd::run([&]() __attribute__((always_inline)) {
    for (std::size_t id = 0; id < tokens; ++id) {
      weights_[id] = static_cast<double>(kernel::exp_nonpositive((logits[id] - largest) / temperature));
    }
  });
  for (std::size_t id = 0; id < std::min(tokens, banned.size()); ++id) {
    if (banned[id]) weights_[id] = 0;
  }
  if (how_.top_k != 0 && how_.top_k < tokens) {
    // As transformers compares them: after the temperature, in T.
    std::vector<T> best;
    for (std::size_t id = 0; id < tokens; ++id) {
      if (id >= banned.size() || !banned[id]) best.push_back(logits[id] / temperature);
    }
    if (how_.top_k < best.size()) {
      const auto last = best.begin() + static_cast<std::ptrdiff_t>(how_.top_k) - 1;
      std::nth_element(best.begin(), last, best.end(), std::greater<>{});
      for (std::size_t id = 0; id < tokens; ++id) {
        if (logits[id] / temperature < *last) weights_[id] = 0;
      }
    }
  }
  if (how_.top_k != 0 || how_.top_p == 1) keep_at_least(std::numeric_limits<double>::denorm_min());
  if (how_.top_p < 1) {
    const double mass = total(0);
    // Those below it together have less than what top-p leaves out.
    const double limit = (1 - how_.top_p) * mass / static_cast<double>(2 * ids_.size());
    keep_at_least(limit);
    cut(how_.top_p * mass);
  }
}

/// The sum of the weights that are at least `least`.
OPTSCOPE_INLINE double sampler::total(double least) const {
  typedef double wide __attribute__((vector_size(64), aligned(8), may_alias));
  typedef std::int64_t bits __attribute__((vector_size(64)));
  const std::size_t whole = weights_.size() / 16 * 16;
  double sum = 0;
  simd::run([&]() __attribute__((always_inline)) {
    wide sums[2] = {};
    for (std::size_t i = 0; i < whole; i += 16) {
      for (std::size_t j = 0; j < 2; ++j) {
        const wide w = *reinterpret_cast<const wide*>(weights_.data() + i + 8 * j);
        sums[j] += reinterpret_cast<wide>(reinterpret_cast<bits>(w) & (w >= least));
      }
    }
    for (std::size_t lane = 0; lane < 8; ++lane) sum += sums[0][lane] + sums[1][lane];
  });
  for (std::size_t i = whole; i < weights_.size(); ++i) {
    if (weights_[i] >= least) sum += weights_[i];
  }
  return sum;
}

/// Keeps the fewest of the largest weights that sum to `wanted`, the lowest ids of equal ones.
OPTSCOPE_INLINE void sampler::cut(double wanted) {
  // Floats that are not negative are ordered as their bits are. A cut at `low` keeps enough, one at `high` does not; no
  // weight is above 1. What lies between is sorted once it is little.
  std::uint32_t low = 0, high = std::bit_cast<std::uint32_t>(1.0f) + 1;
  const auto weight_of = [](std::uint32_t bits) { return static_cast<double>(std::bit_cast<float>(bits)); };
  while (high - low > 1 << 15) {
    const std::uint32_t middle = low + (high - low) / 2;
    (total(weight_of(middle)) >= wanted ? low : high) = middle;
  }
  double missing = wanted - total(weight_of(high));
  std::vector<std::size_t> last;  // some of these are kept
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    if (weights_[i] >= weight_of(low) && weights_[i] < weight_of(high)) last.push_back(i);
  }
  std::stable_sort(last.begin(), last.end(), [&](std::size_t a, std::size_t b) { return weights_[a] > weights_[b]; });
  for (const std::size_t i : last) {
    const double own = weights_[i];
    if (missing <= 0) weights_[i] = 0;
    missing -= own;
  }
  keep_at_least(std::max(weight_of(low), std::numeric_limits<double>::denorm_min()));
}

/// Drops the weights below `least`.
OPTSCOPE_INLINE void sampler::keep_at_least(double least) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < ids_.size(); ++i) {
    ids_[kept] = ids_[i];
    weights_[kept] = weights_[i];
    if (weights_[i] >= least) ++kept;
  }
  ids_.resize(kept);
  weights_.resize(kept);
}

#ifdef OPTSCOPE_COMPILED
template token_id greedy(std::span<const float>, std::size_t, const std::vector<bool>&);
template token_id greedy(std::span<const double>, std::size_t, const std::vector<bool>&);
template token_id sampler::operator()(std::span<const float>, std::size_t, const std::vector<bool>&);
template token_id sampler::operator()(std::span<const double>, std::size_t, const std::vector<bool>&);
#endif

}  // namespace optscope
