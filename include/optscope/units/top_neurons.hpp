// SPDX-License-Identifier: MIT
#pragma once
// Where the neurons that stand out are high, and what else explains them.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/corpus/corpus.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/units/token_controls.hpp>
#include <optscope/units/unit_findings.hpp>
#include <random>
#include <utility>
#include <vector>

namespace optscope {

/// How many neurons are looked at, and in how many tokens.
struct neuron_search {
  std::size_t top = 8;         ///< neurons of each category
  std::size_t tokens = 20000;  ///< tokens of each category, about
  std::uint64_t seed = 0;      ///< of the texts that are run and the places that are shown
};

namespace detail {

/// The neurons with the largest positive effects of each category.
[[nodiscard]] std::vector<found_neuron> neurons_that_stand_out(const unit_findings& found, std::size_t top);

/// 0 … count - 1 in random order.
[[nodiscard]] std::vector<std::size_t> shuffled(std::size_t count, std::mt19937_64& bits);

/// Activations of some neurons at all tokens of some windows.
struct neuron_values {
  token_batch windows{};
  recorded_tokens at{};
  std::vector<std::pair<std::size_t, std::size_t>> places{};  // [recorded token]: window, token in it
  std::vector<std::vector<float>> values{};                   // [neuron][recorded token]

  /// Adds windows of one category that `record` was shown. Returns how many tokens were recorded.
  std::size_t add(std::vector<window> more, std::size_t category, const neuron_record& record);
};

/// Fills in `controls` and `contexts`.
void explain(std::vector<found_neuron>& neurons, const neuron_values& recorded, const tokenizer& words,
             std::mt19937_64& bits);

}  // namespace detail

/// Runs randomly drawn texts of each category of a corpus that was found, and looks where the top neurons are high and
/// at which token each neuron is highest: fills in `neurons` and `highest_tokens`.
template <class Model>
void look_at_top_neurons(Model& opt, const corpus& all, unit_findings& found, const neuron_search& how) {
  found.neurons = detail::neurons_that_stand_out(found, how.top);
  if (found.neurons.empty()) return;
  std::vector<unit> chosen;
  for (const found_neuron& each : found.neurons) chosen.push_back(each.what);
  detail::neuron_values recorded;
  recorded.values.resize(chosen.size());
  highest_tokens highest{found.sums.units()};
  std::mt19937_64 bits{how.seed};
  std::vector<std::size_t> size(all.categories.size());  // tokens recorded
  const std::size_t length = opt.shape().max_positions;
  for (const std::size_t t : detail::shuffled(all.size(), bits)) {
    const std::size_t c = all.category_of[t];
    if (size[c] >= how.tokens) continue;
    std::vector<window> windows = windows_of(all.read(t), length, all.bos());
    const std::size_t fitting = std::max<std::size_t>(1, (how.tokens - size[c]) / length);
    windows.resize(std::min(windows.size(), fitting));
    token_batch batch;
    for (const window& each : windows) batch.push_back(each.tokens);
    neuron_record record{chosen};
    highest.expect(windows);
    opt.run(batch, record, highest);
    size[c] += recorded.add(std::move(windows), c, record);
  }
  detail::explain(found.neurons, recorded, *all.words, bits);
  found.highest_tokens = highest.tokens();
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/top_neurons.ipp>
#endif
