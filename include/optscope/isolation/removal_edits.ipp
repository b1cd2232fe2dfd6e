// SPDX-License-Identifier: MIT
#pragma once
// Bodies of removal_edits.hpp.

#include <algorithm>
#include <cstddef>
#include <optscope/core/tensor.hpp>
#include <optscope/isolation/removal_edits.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/positions.hpp>
#include <optscope/probe/where.hpp>
#include <utility>
#include <vector>

namespace optscope {
namespace detail {

inline std::vector<std::size_t> positions_after_first(std::size_t length) {
  std::vector<std::size_t> rows;
  for (std::size_t row = 1; row < length; ++row) rows.push_back(row);
  return rows;
}

inline tensor<float, 2> rows_of(const tensor<float, 2>& all, const std::vector<std::size_t>& chosen) {
  tensor<float, 2> result{{chosen.size(), all.extent(1)}};
  for (std::size_t i = 0; i < chosen.size(); ++i) std::ranges::copy(all.row(chosen[i]), result.row(i).begin());
  return result;
}

template <class Edits>
void add_directions(Edits& edits, const removal& what) {
  for (std::size_t layer = 0; layer < what.layers.size(); ++layer) {
    const layer_removal& gone = what.layers[layer];
    if (gone.directions.empty()) continue;
    const tensor<float, 2> left = rows_of(gone.basis->left, gone.directions);
    const tensor<float, 2> right = rows_of(gone.basis->right, gone.directions);
    edits.add("resid_pre", erase{left, right, gone.basis->bias},
              where{}.layers({layer}).at(positions{positions_after_first}));
  }
  edits.may_not_fire();  // a prompt of one token has no other position
}

}  // namespace detail

OPTSCOPE_INLINE direction_edits direction_edits_of(const removal& what) {
  direction_edits edits;
  detail::add_directions(edits, what);
  return edits;
}

OPTSCOPE_INLINE removal_edits edits_of(const removal& what, const architecture& shape) {
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
