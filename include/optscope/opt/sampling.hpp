// SPDX-License-Identifier: MIT
#pragma once
// The next token from logits: the largest, or drawn with a temperature, from the k best or the smallest set of mass p.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optscope/backend/elementwise.hpp>
#include <optscope/core/cpu.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tokens.hpp>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// How the next token is chosen. As in transformers: temperature first, then the k best, of these the best that
/// together have a probability of p.
struct sampling {
  double temperature = 0;  ///< 0: greedy, the token of the largest logit; the rest is not used then
  std::size_t top_k = 0;   ///< 0: all
  double top_p = 1;        ///< at least one token is kept
  std::uint64_t seed = 0;
};

/// The token of the largest logit, the lowest id of equal ones. Ids from `tokens` on and those of `banned` are never
/// chosen. Throws `bad_input` if a logit is not finite or no token is left.
template <class T>
[[nodiscard]] token_id greedy(std::span<const T> logits, std::size_t tokens = static_cast<std::size_t>(-1),
                              const std::vector<bool>& banned = {}) {
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

/// Chooses tokens one after the other; the same seed gives the same tokens with any compiler and standard library, up
/// to the rounding of `exp`.
class sampler {
 public:
  explicit sampler(const sampling& how) : how_{how}, bits_{how.seed} {
    const auto check = [](bool right, const char* item, const char* expected, double found) {
      if (!right) throw bad_input{"", item, expected, std::to_string(found)};
    };
    check(how.temperature >= 0 && std::isfinite(how.temperature), "temperature", "0 or more", how.temperature);
    check(how.top_p > 0 && how.top_p <= 1, "top-p", "more than 0 and at most 1", how.top_p);
  }

  /// See `greedy` for the arguments and what is thrown.
  template <class T>
  [[nodiscard]] token_id operator()(std::span<const T> logits, std::size_t tokens = static_cast<std::size_t>(-1),
                                    const std::vector<bool>& banned = {}) {
    const token_id best = greedy(logits, tokens, banned);
    if (how_.temperature == 0) return best;
    keep(logits, static_cast<double>(logits[static_cast<std::size_t>(best)]), std::min(tokens, logits.size()), banned);
    double mass = 0;
    for (const candidate& c : kept_) mass += c.weight;
    const double drawn = uniform() * mass;
    double sum = 0;
    for (const candidate& c : kept_) {
      sum += c.weight;
      if (drawn < sum) return c.id;
    }
    return kept_.back().id;  // rounding; the weights are never all zero
  }

  /// What the last call but a greedy one could choose from: ids with probabilities that sum to 1.
  [[nodiscard]] std::vector<std::pair<token_id, double>> last_choice() const {
    double mass = 0;
    for (const candidate& c : kept_) mass += c.weight;
    std::vector<std::pair<token_id, double>> choice;
    for (const candidate& c : kept_) choice.emplace_back(c.id, c.weight / mass);
    return choice;
  }

 private:
  struct candidate {
    double weight;  // exp((logit - largest) / temperature)
    token_id id;
    [[nodiscard]] bool behind(const candidate& other) const {
      return weight != other.weight ? weight < other.weight : id > other.id;
    }
  };

  /// Uniform in [0, 1), from the upper 53 bits: std::uniform_real_distribution differs between libraries.
  double uniform() { return static_cast<double>(bits_() >> 11) * 0x1p-53; }

  template <class T>
  void keep(std::span<const T> logits, double largest, std::size_t tokens, const std::vector<bool>& banned) {
    kept_.clear();
    weights_.resize(tokens);
    const T highest = static_cast<T>(largest),
            temperature = std::max(static_cast<T>(how_.temperature), std::numeric_limits<T>::min());
    cpu::run([&]() __attribute__((always_inline)) {
      for (std::size_t id = 0; id < tokens; ++id) {
        weights_[id] = static_cast<double>(kernel::exp_nonpositive((logits[id] - highest) / temperature));
      }
    });
    std::size_t count = tokens;
    for (std::size_t id = 0; id < std::min(tokens, banned.size()); ++id) {
      if (!banned[id]) continue;
      weights_[id] = 0;
      --count;
    }
    double mass = 0;
    cpu::run([&]() __attribute__((always_inline)) {
      mass = kernel::lane_sum(weights_.data(), tokens, [](double weight) { return weight; });
    });
    // All those below the limit together are less than what top-p leaves out.
    const bool all = how_.top_p == 1 || (how_.top_k != 0 && how_.top_k < count);
    const double limit =
        all ? std::numeric_limits<double>::min() : (1 - how_.top_p) * mass / static_cast<double>(2 * count);
    for (std::size_t id = 0; id < tokens; ++id) {
      if (weights_[id] >= limit) kept_.push_back({weights_[id], static_cast<token_id>(id)});
    }
    ranked_ = kept_;
    const auto before = [](const candidate& a, const candidate& b) { return b.behind(a); };
    if (how_.top_k != 0 && how_.top_k < ranked_.size()) {
      const auto end = ranked_.begin() + static_cast<std::ptrdiff_t>(how_.top_k);
      std::nth_element(ranked_.begin(), end - 1, ranked_.end(), before);
      ranked_.erase(end, ranked_.end());
      mass = 0;
      for (const candidate& c : ranked_) mass += c.weight;
    }
    auto first = ranked_.begin(), last = ranked_.end();  // where the last one lies that top-p keeps
    for (double wanted = how_.top_p * mass; how_.top_p < 1 && last - first > 1;) {
      const auto middle = first + (last - first) / 2;
      std::nth_element(first, middle, last, before);
      double sum = 0;
      for (auto each = first; each != middle; ++each) sum += each->weight;
      if (sum < wanted) {
        wanted -= sum;
        first = middle;
      } else {
        last = middle;
      }
    }
    const candidate least =
        *std::min_element(ranked_.begin(), last, [](const auto& a, const auto& b) { return a.behind(b); });
    std::erase_if(kept_, [&](const candidate& c) { return c.behind(least); });
  }

  sampling how_;
  std::mt19937_64 bits_;
  std::vector<candidate> kept_;    // by id
  std::vector<candidate> ranked_;  // likelier ones before, as far as it matters
  std::vector<double> weights_;    // [id]: 0 for a banned one
};

}  // namespace optscope
