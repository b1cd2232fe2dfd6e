// SPDX-License-Identifier: MIT
#pragma once
// First-order attribution: how much a text's loss owes to each neuron and head, by one backward pass.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/probabilities.hpp>
#include <optscope/units/gradient_pass.hpp>
#include <optscope/units/unit_gates.hpp>
#include <optscope/units/units.hpp>
#include <vector>

namespace optscope {

/// Sums over texts, by category and unit; zeros for units that are neither neuron nor head.
struct loss_attribution {
  std::vector<std::vector<double>> effect;     ///< [category][unit]: sum of a dL/da over positions
  std::vector<std::vector<double>> magnitude;  ///< [category][unit]: sum of |a dL/da|
  std::vector<double> tokens;                  ///< [category]: tokens whose loss was summed

  loss_attribution(std::size_t categories, std::size_t units)
      : effect(categories, std::vector<double>(units)), magnitude{effect}, tokens(categories) {}
};

namespace detail {

/// Adds a·g of units that have `width` columns each and are numbered from `first` on: (row, unit x width).
template <class T>
void add_products(tensor_view<const T, 2> a, tensor_view<const T, 2> g, std::size_t width, std::size_t first,
                  std::vector<double>& effect, std::vector<double>& magnitude);

/// Logits (position, vocabulary) of a text to the gradient of its loss from position `first` on.
template <class T>
void turn_to_loss_gradient(const token_list& text, std::size_t first, tensor_view<T, 2> logits);

}  // namespace detail

/// The gradient of the summed next-token loss. A unit's effect is its activation times the gradient with respect to it:
/// the derivative with respect to a factor on the unit, and minus the first-order change of the loss when the unit is
/// set to zero. For a head it is the sum over the elements of z.
template <class Model>
class attribution_pass {
 public:
  using T = typename Model::scalar;

  /// Throws `checkpoint_error` if the layers of the model differ in size.
  explicit attribution_pass(Model& opt)
      : gradients_{opt}, open_{opt.shape()}, units_{opt.shape()}, head_dim_{opt.shape().head_dim()} {}

  /// Adds a text, BOS included, to the sums of a category. The loss is that of its tokens from position `first` on.
  /// Costs about three times a run over the text.
  void add(const token_list& text, std::size_t category, loss_attribution& to, std::size_t first = 1) {
    gradients_(
        {text}, open_,
        [&](std::size_t, tensor_view<T, 2> logits) { detail::turn_to_loss_gradient(text, first, logits); },
        [&](unit_kind kind, std::size_t layer, tensor_view<const T, 2> a, tensor_view<const T, 2> g) {
          detail::add_products(a, g, kind == unit_kind::head ? head_dim_ : 1, units_.first(kind, layer),
                               to.effect[category], to.magnitude[category]);
        });
    to.tokens[category] += static_cast<double>(text.size() - first);
  }

 private:
  gradient_pass<Model> gradients_;
  unit_gates<T> open_;
  unit_table units_;
  std::size_t head_dim_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/attribution.ipp>
#endif
