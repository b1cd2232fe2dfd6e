// SPDX-License-Identifier: MIT
#pragma once
// The next token from logits: the largest, or drawn with a temperature, from the k best or the smallest set of mass p.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/tokens.hpp>
#include <random>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// How the next token is chosen. As in transformers: temperature first, then the k best, and of these the best that
/// together have a probability of p.
struct sampling {
  double temperature = 0;  ///< 0: greedy, the token of the largest logit; nothing else is used then
  std::size_t top_k = 0;   ///< 0: all; all that equal the last of them count, as in transformers
  double top_p = 1;        ///< at least one token is kept
  std::uint64_t seed = 0;
};

/// The token of the largest logit, the lowest id of equal ones. Ids from `tokens` on and those of `banned` are never
/// chosen. Throws `bad_input` if a logit is not finite or no token is left.
template <class T>
[[nodiscard]] token_id greedy(std::span<const T> logits, std::size_t tokens = static_cast<std::size_t>(-1),
                              const std::vector<bool>& banned = {});

/// Chooses tokens one after the other. The same seed gives the same tokens with any compiler and standard library, up
/// to the rounding of `exp`. Logits are float or double.
class sampler {
 public:
  /// Throws `bad_input` for a temperature below 0 or a top-p outside (0, 1].
  explicit sampler(const sampling& how);

  /// See `greedy` for the arguments and what is thrown.
  template <class T>
  [[nodiscard]] token_id operator()(std::span<const T> logits, std::size_t tokens = static_cast<std::size_t>(-1),
                                    const std::vector<bool>& banned = {});

  /// What the last call that was not greedy could choose from: ids with probabilities that sum to 1.
  [[nodiscard]] std::vector<std::pair<token_id, double>> last_choice() const;

 private:
  double uniform();
  template <class T>
  void keep(std::span<const T> logits, T largest, std::size_t tokens, const std::vector<bool>& banned);
  [[nodiscard]] double total(double least) const;
  void cut(double wanted);
  void keep_at_least(double least);

  sampling how_;
  std::mt19937_64 bits_;
  std::vector<token_id> ids_;    // what can be chosen, in order
  std::vector<double> weights_;  // [of ids_]: exp((logit - largest) / temperature)
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/sampling.ipp>
#endif
