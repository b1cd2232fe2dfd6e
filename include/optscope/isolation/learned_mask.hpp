// SPDX-License-Identifier: MIT
#pragma once
// A removal learned by gradient descent: which units can be removed so that one category is written whatever the
// prompt.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/core/tokens.hpp>
#include <optscope/isolation/mask_steps.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/opt/side_by_side.hpp>
#include <optscope/units/category_windows.hpp>
#include <optscope/units/gradient_pass.hpp>
#include <optscope/units/units.hpp>
#include <vector>

namespace optscope {

namespace detail {

/// One run of `learn_mask`.
template <class Model>
class mask_learner {
 public:
  using T = typename Model::scalar;

  mask_learner(Model& opt, const std::vector<category_texts>& texts, std::size_t kept, std::optional<token_id> bos,
               const removal& may_go, const mask_settings& how)
      : how_{how},
        units_{opt.shape()},
        head_dim_{opt.shape().head_dim()},
        texts_{texts, kept, bos, opt.shape(), how},
        posterior_{texts_.posterior(opt.shape().vocabulary)},
        parameters_{may_go, units_},
        gates_{gates_for<T>(may_go, opt.shape())},
        copies_{opt} {
    for (std::size_t i = 0; i < copies_.size(); ++i) gradients_.emplace_back(copies_[i]);
  }

  void step(std::size_t number) {
    parameters_.set_factors(units_, gates_);
    std::vector<mask_piece> pieces = texts_.draw(positions_);
    copies_(pieces.size(), [&](std::size_t i, std::size_t copy) { follow(pieces[i], copy); });
    std::vector<double> slope(units_.size());
    double lost_now = 0;
    for (const mask_piece& each : pieces) {
      std::transform(slope.begin(), slope.end(), each.slope.begin(), slope.begin(), std::plus<>{});
      lost_now += each.lost;
    }
    if (positions_.paying > 0) lost_ += 0.2 * (lost_now / positions_.paying - lost_);
    weight_ = std::min(most_weight, weight_ * std::exp(0.05 * std::clamp(1 - lost_ / how_.cost, -1.0, 1.0)));
    parameters_.update(slope, number, how_);
  }

  [[nodiscard]] std::vector<double> score() const { return parameters_.score(units_.size()); }

 private:
  static constexpr double most_weight = 10;

  /// Adds up the slopes of a piece's loss, on one copy of the model.
  void follow(mask_piece& piece, std::size_t copy) {
    piece.slope.assign(units_.size(), 0);
    logit_rows<T> whole;
    if (piece.kept_texts()) copies_[copy].run(piece.texts, whole);
    const turning_loss turning{
        .posterior = posterior_,
        .at_start = weight_ / positions_.starts,
        .after_start = weight_ * how_.continuation_weight / positions_.continuations,
    };
    std::vector<double> lost(piece.texts.size());  // [text]
    gradients_[copy](
        piece.texts, gates_,
        [&](std::size_t t, tensor_view<T, 2> logits) {
          if (piece.kept_texts()) {
            lost[t] = turn_kept(piece.texts[t], positions_.kept, logits, whole.of(t));
          } else {
            turn_start(piece.texts[t], piece.begins[t], turning, logits);
          }
        },
        [&](unit_kind kind, std::size_t layer, tensor_view<const T, 2> a, tensor_view<const T, 2> g) {
          const bool head = kind == unit_kind::head;
          const auto& gate = gates_.layers[layer];
          add_slopes(a, g, head ? gate.head_values : gate.neuron_values, head ? head_dim_ : 1,
                     units_.first(kind, layer), piece.slope);
        });
    for (std::size_t t = 0; t < piece.counts.size(); ++t) {
      if (piece.counts[t]) piece.lost += lost[t];
    }
  }

  mask_settings how_;
  unit_table units_;
  std::size_t head_dim_;
  mask_texts texts_;
  std::vector<double> posterior_;  // [token]
  mask_parameters parameters_;
  unit_gates<T> gates_;
  side_by_side<Model> copies_;
  std::vector<gradient_pass<Model>> gradients_;  // [copy]
  mask_positions positions_;
  double weight_ = 0.5;  // of turning
  double lost_ = 0;      // nats per token of kept texts, over the last steps
};

}  // namespace detail

/// Learns which of the units in `may_go` are better removed, each replaced as `may_go` says, from `texts`
/// [source][category][text]. Returns a score for every unit of the table: above 0, it should be removed, the highest
/// most certainly; NaN for units that are not in `may_go`.
///
/// The mask is of zeros and ones; its logits are trained straight through the threshold (Bengio et al.,
/// arXiv:1308.3432) and averaged over the last third of the steps. A step costs about four runs over its tokens.
/// `report(done, steps)` is called after each. At least one source must have a text of each category. Throws
/// `bad_input` for a single category.
template <class Model, class Report>
[[nodiscard]] std::vector<double> learn_mask(Model& opt, const std::vector<category_texts>& texts, std::size_t kept,
                                             std::optional<token_id> bos, const removal& may_go,
                                             const mask_settings& how, Report report) {
  detail::mask_learner<Model> learner{opt, texts, kept, bos, may_go, how};
  for (std::size_t step = 0; step < how.steps; ++step) {
    learner.step(step);
    report(step + 1, how.steps);
  }
  return learner.score();
}

}  // namespace optscope
