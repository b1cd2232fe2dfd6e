// SPDX-License-Identifier: MIT
#pragma once
// Which token positions of a text a probe looks at.

#include <cstddef>
#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <utility>
#include <vector>

namespace optscope {

/// A rule that turns the length of a text into positions. Position 0 is the first token, BOS where there is one.
class positions {
 public:
  /// Every position of every text.
  [[nodiscard]] static positions all();
  /// The last position of each text.
  [[nodiscard]] static positions last();
  /// `count` positions: first, first + step, …
  [[nodiscard]] static positions strided(std::size_t first, std::size_t step, std::size_t count);
  /// These positions of every text, in this order.
  [[nodiscard]] static positions these(std::vector<std::size_t> list);
  /// A custom rule: takes the number of tokens, gives the positions.
  explicit positions(std::function<std::vector<std::size_t>(std::size_t)> rule) : rule_{std::move(rule)} {}

  /// What the rule gives for `length` tokens; some may lie outside the text.
  [[nodiscard]] std::vector<std::size_t> of(std::size_t length) const { return rule_(length); }
  /// The same of a text of a run; throws `bad_input`, which names the text, if one lies outside it.
  [[nodiscard]] std::vector<std::size_t> in(const run_plan& plan, std::size_t text) const;

 private:
  std::function<std::vector<std::size_t>(std::size_t)> rule_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/positions.ipp>
#endif
