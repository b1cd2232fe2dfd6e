// SPDX-License-Identifier: MIT
#pragma once
// Bodies of top_neurons.hpp.

#include <numeric>
#include <optscope/units/selectivity.hpp>
#include <optscope/units/top_neurons.hpp>

namespace optscope::detail {

OPTSCOPE_INLINE std::vector<found_neuron> neurons_that_stand_out(const unit_findings& found, std::size_t top) {
  const std::vector<std::size_t> neurons = found.sums.units().all(unit_kind::neuron);
  std::vector<found_neuron> result;
  for (std::size_t c = 0; c < found.categories.size(); ++c) {
    std::vector<double> g;
    for (const std::size_t u : neurons) g.push_back(found.chosen_effects().g(c, u));
    for (const std::size_t i : indices_of_largest(g, top)) {
      if (g[i] > 0) result.push_back({.what = found.sums.units()[neurons[i]], .category = c});
    }
  }
  return result;
}

OPTSCOPE_INLINE std::vector<std::size_t> shuffled(std::size_t count, std::mt19937_64& bits) {
  std::vector<std::size_t> order(count);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[bits() % i]);
  return order;
}

OPTSCOPE_INLINE std::size_t neuron_values::add(std::vector<window> more, std::size_t category,
                                               const neuron_record& record) {
  std::size_t count = 0;
  for (std::size_t w = 0; w < more.size(); ++w) {
    for (std::size_t i = more[w].skip; i < more[w].tokens.size(); ++i) {
      at.token.push_back(more[w].tokens[i]);
      at.position.push_back(i);
      at.category.push_back(category);
      places.emplace_back(windows.size(), i);
      for (std::size_t n = 0; n < values.size(); ++n) {
        values[n].push_back(record.values()(n, record.first_of(w) + i));
      }
      ++count;
    }
    windows.push_back(std::move(more[w].tokens));
  }
  return count;
}

OPTSCOPE_INLINE void explain(std::vector<found_neuron>& neurons, const neuron_values& recorded, const tokenizer& words,
                             std::mt19937_64& bits) {
  constexpr std::size_t highest = 6, lowest = 3, random = 3;
  using kind = neuron_context::kind;
  for (std::size_t n = 0; n < neurons.size(); ++n) {
    found_neuron& neuron = neurons[n];
    const std::vector<float>& values = recorded.values[n];
    neuron.controls = controls_of(values, recorded.at, neuron.category);
    const auto show = [&](kind which, std::size_t i) {
      const auto [window, token] = recorded.places[i];
      neuron.contexts.push_back({.which = which,
                                 .value = static_cast<double>(values[i]),
                                 .text = context_of(words, recorded.windows[window], token)});
    };
    for (const std::size_t i : extreme_places(values, recorded.at.token, highest)) show(kind::highest, i);
    for (const std::size_t i : extreme_places(values, recorded.at.token, lowest, extreme::lowest)) {
      show(kind::lowest, i);
    }
    for (std::size_t i = 0; i < random; ++i) show(kind::random, bits() % recorded.at.size());
  }
}

}  // namespace optscope::detail
