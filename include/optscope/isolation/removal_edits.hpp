// SPDX-License-Identifier: MIT
#pragma once
// A removal as editors: the activations of removed parts are overwritten wherever the model runs.

#include <algorithm>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/probe/edit_list.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/positions.hpp>
#include <optscope/probe/where.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// The edits that a removal is made of.
using removal_edits = basic_edit_list<float, site_list<site::z, site::mlp_post, site::resid_pre>>;
using direction_edits = basic_edit_list<float, site_list<site::resid_pre>>;

namespace detail {
template <class Edits>
void add_directions(Edits& edits, const removal& what) {
  const positions behind_the_first{[](std::size_t length) {
    std::vector<std::size_t> rows;
    for (std::size_t row = 1; row < length; ++row) rows.push_back(row);
    return rows;
  }};
  for (std::size_t layer = 0; layer < what.layers.size(); ++layer) {
    const layer_removal& gone = what.layers[layer];
    if (gone.directions.empty()) continue;
    const std::size_t width = gone.basis->bias.size();
    tensor<float, 2> left{{gone.directions.size(), width}}, right{{gone.directions.size(), width}};
    for (std::size_t i = 0; i < gone.directions.size(); ++i) {
      std::ranges::copy(gone.basis->left.row(gone.directions[i]), left.row(i).begin());
      std::ranges::copy(gone.basis->right.row(gone.directions[i]), right.row(i).begin());
    }
    edits.add("resid_pre", erase{left, right, gone.basis->bias}, where{}.layers({layer}).at(behind_the_first));
  }
  edits.may_not_fire();  // a prompt of one token has no other position
}
}  // namespace detail

/// The directions alone: what `pruned_weights::remove` leaves to do.
[[nodiscard]] inline direction_edits direction_edits_of(const removal& what) {
  direction_edits edits;
  detail::add_directions(edits, what);
  return edits;
}

/// Edits of `mlp_post`, `z` and `resid_pre` that take `what` out of a model of this shape:
///
///     removal_edits edits = edits_of(read_removal("edits.json", opt.shape(), fingerprint(opt.files())), opt.shape());
///     generate(opt, prompts, {}, edits);
///
/// `pruned_weights` gives the same logits, to rounding, in less time, directions being left to `direction_edits_of`.
[[nodiscard]] inline removal_edits edits_of(const removal& what, const architecture& shape) {
  removal_edits edits;
  detail::add_directions(edits, what);
  for (std::size_t layer = 0; layer < what.layers.size(); ++layer) {
    const layer_removal& gone = what.layers[layer];
    if (!gone.neurons.empty()) {
      std::vector<double> values(gone.neuron_values.empty() ? 1 : shape.ffn);
      for (std::size_t i = 0; i < gone.neuron_values.size(); ++i) {
        values[gone.neurons[i]] = static_cast<double>(gone.neuron_values[i]);
      }
      edits.add("mlp_post", set{std::move(values)}, where{}.layers({layer}).units(gone.neurons));
    }
    for (std::size_t i = 0; i < gone.heads.size(); ++i) {
      std::vector<double> values{0.0};
      if (!gone.head_values.empty()) {
        const auto first = gone.head_values.begin() + static_cast<std::ptrdiff_t>(i * shape.head_dim());
        values.assign(first, first + static_cast<std::ptrdiff_t>(shape.head_dim()));
      }
      edits.add("z", set{std::move(values)}, where{}.layers({layer}).heads({gone.heads[i]}));
    }
  }
  return edits;
}

}  // namespace optscope
