// SPDX-License-Identifier: MIT
#pragma once
// First-order attribution: what a text's loss owes to each neuron and head, by one pass backward through the model.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/probabilities.hpp>
#include <optscope/units/gradient_pass.hpp>
#include <optscope/units/units.hpp>
#include <vector>

namespace optscope {

/// Sums over texts, by category and unit; units that are neither neuron nor head have zeros.
struct loss_attribution {
  std::vector<std::vector<double>> effect;     ///< [category][unit]: sum of a dL/da over positions
  std::vector<std::vector<double>> magnitude;  ///< [category][unit]: sum of |a dL/da|
  std::vector<double> tokens;                  ///< [category]: whose loss it is

  loss_attribution(std::size_t categories, std::size_t units)
      : effect(categories, std::vector<double>(units)), magnitude{effect}, tokens(categories) {}
};

/// The gradient of the summed next-token loss. What it gives for a unit is its activation times the gradient with
/// respect to it: the derivative with respect to a factor on the unit, and minus the first-order change of the loss
/// when the unit is set to zero. Of a head, the sum over z's elements.
template <class Model>
class attribution_pass {
 public:
  using T = typename Model::scalar;

  /// Throws `bad_input` if the model's nonlinearity is not ReLU.
  explicit attribution_pass(Model& opt) : gradients_{opt}, open_{opt.shape()}, units_{opt.shape()} {
    width_ = opt.shape().head_dim();
  }

  /// Adds a text, BOS and all, to the sums of a category: about three times the cost of its run. The loss is that of
  /// its tokens from position `first` on.
  void add(const token_list& text, std::size_t category, loss_attribution& to, std::size_t first = 1) {
    const auto turn = [&](std::size_t, tensor_view<T, 2> logits) {  // nothing comes behind the last token
      for (std::size_t i = 0; i < logits.rows(); ++i) {
        const auto row = logits.row(i);
        if (i + 1 < first || i + 1 >= text.size()) {
          std::fill(row.begin(), row.end(), T{0});
          continue;
        }
        to_probabilities(row);
        row[static_cast<std::size_t>(text[i + 1])] -= T{1};
      }
    };
    gradients_({text}, open_, turn,
               [&](unit_kind kind, std::size_t layer, tensor_view<const T, 2> a, tensor_view<const T, 2> g) {
                 note(a, g, kind == unit_kind::head ? width_ : 1, units_.first(kind, layer), category, to);
               });
    to.tokens[category] += static_cast<double>(text.size() - first);
  }

 private:
  /// Adds a·g of units that are `width` columns each.
  static void note(tensor_view<const T, 2> a, tensor_view<const T, 2> g, std::size_t width, std::size_t first,
                   std::size_t category, loss_attribution& to) {
    for (std::size_t i = 0; i < a.rows(); ++i) {
      for (std::size_t u = 0; u < a.cols() / width; ++u) {
        double product = 0;
        for (std::size_t d = u * width; d < (u + 1) * width; ++d) product += static_cast<double>(a(i, d) * g(i, d));
        to.effect[category][first + u] += product;
        to.magnitude[category][first + u] += std::abs(product);
      }
    }
  }

  gradient_pass<Model> gradients_;
  unit_gates<T> open_;
  unit_table units_;
  std::size_t width_;
};

}  // namespace optscope
