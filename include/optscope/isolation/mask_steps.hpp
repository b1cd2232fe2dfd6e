// SPDX-License-Identifier: MIT
#pragma once
// The parts of learning a mask that do not depend on the model: its texts, its loss and its optimiser.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/units/category_windows.hpp>
#include <optscope/units/unit_gates.hpp>
#include <optscope/units/units.hpp>
#include <random>
#include <span>
#include <vector>

namespace optscope {

/// How a mask is learned. The loss has two parts. Over kept texts it is KL(whole model || masked model). Over starts of
/// other texts, which a text of the kept category follows, it is a weight times the sum of two means:
/// -log P(the next token is of the kept category) at the start's tokens, where a token belongs to a category as often
/// as in the texts, and `continuation_weight` times the cross-entropy of the kept text after them. The weight rises
/// while kept texts lose less than `cost`, and falls while they lose more. With few texts, what is lost on the texts
/// that a mask is learned from says little about other texts.
struct mask_settings {
  std::size_t steps = 250;
  double rate = 0.15;                ///< Adam's at the start; it falls to zero
  double cost = 0.16;                ///< nats per token of kept texts, of the first source that has any
  double continuation_weight = 0.3;  ///< of the kept category's loss after starts of other texts
  std::size_t windows = 8;           ///< kept texts in a step
  std::size_t window_tokens = 128;
  std::size_t prompts = 24;  ///< starts of other texts in a step
  std::size_t shortest = 8;  ///< tokens of a start
  std::size_t longest = 32;
  std::size_t continuation = 24;  ///< tokens of the kept text that follows a start
  std::uint64_t seed = 0;
};

namespace detail {

/// Texts of a step that are computed together, side by side with others.
struct mask_piece {
  token_batch texts{};
  std::vector<std::size_t> begins{};  // [text]: where the kept text begins after the start; empty: kept texts
  std::vector<bool> counts{};         // [text]: kept texts whose loss counts as cost
  std::vector<double> slope{};        // [unit]
  double lost = 0;                    // nats of the texts that count

  [[nodiscard]] bool kept_texts() const noexcept { return begins.empty(); }
};

/// The positions of a step that each part of its loss is the mean over.
struct mask_positions {
  double kept = 0, paying = 0, starts = 0, continuations = 0;
};

/// Draws the texts of a step, from several sources evenly.
class mask_texts {
 public:
  /// `texts` [source][category][text]. Throws `bad_input` for a single category.
  mask_texts(const std::vector<category_texts>& texts, std::size_t kept, std::optional<token_id> bos,
             const architecture& shape, const mask_settings& how);

  [[nodiscard]] std::vector<mask_piece> draw(mask_positions& positions);
  /// P(kept category | token), each other category counting once: [token].
  [[nodiscard]] std::vector<double> posterior(std::size_t vocabulary) const;

 private:
  token_list piece(std::size_t category, std::size_t size);

  const std::vector<category_texts>& texts_;
  std::size_t kept_;
  std::optional<token_id> bos_;
  mask_settings how_;
  std::mt19937_64 bits_;
  std::size_t source_ = 0;  // of the last piece
  std::size_t paying_ = 0;  // the source whose kept texts count as cost
};

/// Logits (position, vocabulary) of a kept text to the gradient of their KL divergence from the whole model's logits,
/// which become probabilities. Returns the nats that the text's tokens lose.
template <class T>
double turn_kept(const token_list& text, double positions, tensor_view<T, 2> logits, tensor_view<T, 2> whole);

/// What the loss after starts of other texts is made of.
struct turning_loss {
  std::span<const double> posterior;  // [token]
  double at_start = 0;                // weight of a position of the start
  double after_start = 0;             // weight of a position of the kept text
};

/// Logits (position, vocabulary) of a start and the kept text from position `begin` on to the gradient of their loss.
template <class T>
void turn_start(const token_list& text, std::size_t begin, const turning_loss& loss, tensor_view<T, 2> logits);

/// Adam on the logits of the units that may be removed; a unit stays while its logit is above zero.
class mask_parameters {
 public:
  mask_parameters(const removal& may_go, const unit_table& units);

  template <class T>
  void set_factors(const unit_table& units, unit_gates<T>& gates) const;
  /// `slope` [unit]: the gradient with respect to each unit's factor. `step` from 0.
  void update(const std::vector<double>& slope, std::size_t step, const mask_settings& how);
  /// [unit]: minus the logit, averaged over the last third of the steps; NaN for units that may not be removed.
  [[nodiscard]] std::vector<double> score(std::size_t units) const;

 private:
  struct parameter {
    std::size_t unit;
    double logit = 2, first = 0, second = 0, mean = 0;
  };
  std::vector<parameter> all_;
};

/// What replaces the units that may be removed.
template <class T>
[[nodiscard]] unit_gates<T> gates_for(const removal& may_go, const architecture& shape);

/// Adds the gradient with respect to the factors of units that have `width` columns each and are numbered from `first`
/// on: sums of (a - v) g over the rows of a and g (row, unit x width); `values` (unit x width) is v.
template <class T>
void add_slopes(tensor_view<const T, 2> a, tensor_view<const T, 2> g, const std::vector<T>& values, std::size_t width,
                std::size_t first, std::vector<double>& slope);

}  // namespace detail
}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/mask_steps.ipp>
#endif
