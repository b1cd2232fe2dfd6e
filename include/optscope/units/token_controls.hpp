// SPDX-License-Identifier: MIT
#pragma once
// What else explains a neuron's activity: single tokens, the position; and where it is highest and lowest.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// A probe that records a few neurons at every position of a batch. Memory does not grow with the neurons that were not
/// asked for, as it would with `capture<site::mlp_post>`.
class neuron_record {
 public:
  using sites = site_list<site::mlp_post>;

  explicit neuron_record(std::vector<unit> neurons) : neurons_{std::move(neurons)} {}

  void begin(const run_plan& plan);
  [[nodiscard]] bool wants(site::mlp_post, std::size_t layer) const;
  void operator()(site::mlp_post, const place& at, tensor_view<const float, 2> rows);

  /// (neuron, position): the positions of all texts, text by text.
  [[nodiscard]] tensor_view<const float, 2> values() const { return values_.view(); }
  /// The first position of a text in `values()`.
  [[nodiscard]] std::size_t first_of(std::size_t text) const { return begin_[text]; }

 private:
  std::vector<unit> neurons_;
  std::vector<std::size_t> begin_;
  tensor<float, 2> values_;
};

/// A probe that remembers of every neuron the token at which it was highest, over several runs of windows.
class highest_tokens {
 public:
  using sites = site_list<site::mlp_post>;

  explicit highest_tokens(const unit_table& units);

  /// What the next run shows. BOS does not count.
  void expect(std::vector<window> windows) { windows_ = std::move(windows); }
  void operator()(site::mlp_post, const place& at, tensor_view<const float, 2> rows);

  /// [layer * neurons + neuron]: -1 where nothing was shown.
  [[nodiscard]] const std::vector<token_id>& tokens() const noexcept { return tokens_; }

 private:
  std::vector<window> windows_;
  std::vector<float> highest_;
  std::vector<token_id> tokens_;
};

/// The tokens at which neurons were recorded: each list has one entry per token.
struct recorded_tokens {
  std::vector<token_id> token;
  std::vector<std::size_t> position, category;

  [[nodiscard]] std::size_t size() const noexcept { return token.size(); }
};

/// What explains a neuron's activity besides the category. Shares are of its variance over the recorded tokens; NaN
/// where it does not vary.
struct token_controls {
  double by_token = 0;     ///< explained by the token's identity, adjusted for the number of tokens (epsilon squared)
  double by_position = 0;  ///< explained by the position in the window, in steps of a factor of 2, adjusted
  double by_best = 0;      ///< explained by whether the token is the one that explains most
  token_id best = -1;      ///< that token
  double mean_at_best = 0, mean_elsewhere = 0;
  /// The share of the difference between the category and the rest that remains for one and the same token: the
  /// coefficient of the category in a regression on category and token. 1: the neuron follows the category; 0: tokens
  /// that the category has more of. NaN without a difference, and if no token is in the category and in the rest.
  double gap_beyond_tokens = 0;
};

/// Looks for what explains a neuron that was found for `category`. `values` has one number per token of `at`.
[[nodiscard]] token_controls controls_of(std::span<const float> values, const recorded_tokens& at,
                                         std::size_t category);

/// Which end of the values is wanted.
enum class extreme { highest, lowest };

/// Indices of `count` extreme values. A token occurs more than once only if there are not enough different ones.
[[nodiscard]] std::vector<std::size_t> extreme_places(std::span<const float> values,
                                                      const std::vector<token_id>& tokens, std::size_t count,
                                                      extreme which = extreme::highest);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/token_controls.ipp>
#endif
