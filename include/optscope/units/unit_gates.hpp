// SPDX-License-Identifier: MIT
#pragma once
// An editor that lets each neuron and head through in part, and puts a constant in place of the rest.

#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <vector>

namespace optscope {

/// Replaces a unit's activation a by f a + (1 - f) v. The factor of a head holds for all elements of its z.
template <class T>
struct unit_gates {
  using sites = site_list<site::z, site::mlp_post>;
  struct layer_gates {
    std::vector<T> neurons, neuron_values;  ///< f (ffn), v (ffn)
    std::vector<T> heads, head_values;      ///< f (heads), v (hidden)
  };
  std::vector<layer_gates> layers;

  /// All factors 1, all values 0: changes nothing.
  explicit unit_gates(const architecture& shape)
      : layers(shape.layers, {.neurons = std::vector<T>(shape.ffn, 1),
                              .neuron_values = std::vector<T>(shape.ffn),
                              .heads = std::vector<T>(shape.heads, 1),
                              .head_values = std::vector<T>(shape.hidden)}) {}

  void operator()(site::mlp_post, const place& at, tensor_view<T, 2> x) const {
    const layer_gates& gate = layers[at.layer];
    for (std::size_t i = 0; i < x.rows(); ++i) {
      T* const row = x.row(i).data();
      for (std::size_t n = 0; n < x.cols(); ++n) {
        row[n] = gate.neurons[n] * row[n] + (T{1} - gate.neurons[n]) * gate.neuron_values[n];
      }
    }
  }
  void operator()(site::z, const place& at, tensor_view<T, 3> x) const {
    const layer_gates& gate = layers[at.layer];
    const std::size_t width = x.extent(2);
    for (std::size_t i = 0; i < x.rows(); ++i) {
      T* const row = x.row(i).data();
      for (std::size_t d = 0; d < x.cols(); ++d) {
        const T factor = gate.heads[d / width];
        row[d] = factor * row[d] + (T{1} - factor) * gate.head_values[d];
      }
    }
  }
};

}  // namespace optscope
