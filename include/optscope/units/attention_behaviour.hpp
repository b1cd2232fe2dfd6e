// SPDX-License-Identifier: MIT
#pragma once
// What each head attends to: the first position, the previous token, the same token, what followed it, how spread out.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// Means over positions of a text, each position t without the first. The names are those of TransformerLens's head
/// detectors where it has one.
enum class attention_measure {
  first,      ///< attention from t to the first position
  previous,   ///< to t - 1, for t > 1
  same,       ///< to earlier positions of the same token, where there are any
  induction,  ///< to positions right after an earlier one of the same token, where there are any before t
  entropy     ///< of t's attention, in nats
};
inline constexpr std::array<std::string_view, 5> attention_measures{"first", "previous", "same", "induction",
                                                                    "entropy"};

/// An observer: the measures of every head, text by text. NaN where a text has no such position.
///
///     attention_behaviour heads{texts};
///     opt.run(texts, heads);
///     const double previous = heads(attention_measure::previous, 3, 5, 0);  // layer 3, head 5, text 0
///
/// The induction score is that of random tokens that are repeated (Olsson et al. 2022):
///
///     const token_batch repeated = repeated_random_tokens(8, 50, opt.shape().vocabulary, bos, 1);
///     attention_behaviour heads{repeated};
///     opt.run(repeated, heads);
///
/// Takes runs of whole texts. Cost: a logarithm per weight.
class attention_behaviour {
 public:
  using sites = site_list<site::pattern>;

  /// `texts` are those of the run.
  explicit attention_behaviour(const token_batch& texts);

  /// Leaves out other layers, whose values are NaN; without any, nothing is observed.
  attention_behaviour& only_layers(std::vector<std::size_t> layers);

  [[nodiscard]] bool wants(site::pattern, std::size_t layer) const;
  /// Throws `bad_input` if the texts are not those that were given.
  void begin(const run_plan& plan);
  void operator()(site::pattern, const place& at, tensor_view<const float, 3> pattern);   // (head, position, key)
  void operator()(site::pattern, const place& at, tensor_view<const double, 3> pattern);  // (head, position, key)

  [[nodiscard]] double operator()(attention_measure which, std::size_t layer, std::size_t head,
                                  std::size_t text) const {
    return values_(static_cast<std::size_t>(which), layer, head, text);
  }
  /// The same if attention were equal on all positions up to t.
  [[nodiscard]] double uniform(attention_measure which, std::size_t text) const {
    return uniform_(static_cast<std::size_t>(which), text);
  }

 private:
  struct target {
    std::size_t position, key;
  };
  struct targets {  // of a text
    std::size_t length = 0;
    std::vector<target> same, induction;  // ascending by position
  };
  template <class T>
  void measure(const place& at, tensor_view<const T, 3> pattern);

  std::vector<targets> texts_;
  std::optional<std::vector<std::size_t>> layers_;
  tensor<double, 4> values_;   // (measure, layer, head, text)
  tensor<double, 2> uniform_;  // (measure, text)
};

/// `count` texts: the token `first`, then `length` different random tokens, twice over. With a vocabulary of fewer
/// tokens, `length` is what it allows.
[[nodiscard]] token_batch repeated_random_tokens(std::size_t count, std::size_t length, std::size_t vocabulary,
                                                 token_id first, std::uint64_t seed);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/attention_behaviour.ipp>
#endif
