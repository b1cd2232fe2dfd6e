// SPDX-License-Identifier: MIT
#pragma once
// A removal as editors: the activations of removed parts are overwritten wherever the model runs.

#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/site.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/probe/edit_list.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/where.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// The edits that a removal is made of.
using removal_edits = basic_edit_list<float, site_list<site::z, site::mlp_post>>;

/// Edits of `mlp_post` and `z` that take `what` out of a model of this shape:
///
///     removal_edits edits = edits_of(read_removal("edits.json", opt.shape(), fingerprint(opt.files())), opt.shape());
///     generate(opt, prompts, {}, edits);
///
/// `pruned_weights` gives the same logits, to rounding, in less time.
[[nodiscard]] inline removal_edits edits_of(const removal& what, const architecture& shape) {
  removal_edits edits;
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
