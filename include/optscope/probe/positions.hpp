// SPDX-License-Identifier: MIT
#pragma once
// Which token positions of a text a probe looks at.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <numeric>
#include <optscope/core/errors.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// A rule that turns the length of a text into positions; position 0 is the first token, BOS where there is one.
class positions {
 public:
  /// Every position of every text.
  [[nodiscard]] static positions all() {
    return positions{[](std::size_t length) {
      std::vector<std::size_t> result(length);
      std::iota(result.begin(), result.end(), std::size_t{0});
      return result;
    }};
  }
  /// The last position of each text.
  [[nodiscard]] static positions last() {
    return positions{[](std::size_t length) { return std::vector{length - 1}; }};
  }
  /// `count` positions: first, first + step, …
  [[nodiscard]] static positions strided(std::size_t first, std::size_t step, std::size_t count) {
    std::vector<std::size_t> list(count);
    for (std::size_t i = 0; i < count; ++i) list[i] = first + i * step;
    return these(std::move(list));
  }
  /// These positions, in this order, of every text.
  [[nodiscard]] static positions these(std::vector<std::size_t> list) {
    return positions{[list = std::move(list)](std::size_t) { return list; }};
  }
  /// A rule of one's own: number of tokens in, positions out.
  explicit positions(std::function<std::vector<std::size_t>(std::size_t)> rule) : rule_{std::move(rule)} {}

  /// What the rule gives for `length` tokens.
  [[nodiscard]] std::vector<std::size_t> of(std::size_t length) const { return rule_(length); }
  /// The positions in a text of `length` tokens; throws `bad_input` if one lies outside it, naming text `text`.
  [[nodiscard]] std::vector<std::size_t> in(std::size_t length, std::size_t text) const {
    std::vector<std::size_t> result = of(length);
    for (const std::size_t position : result) {
      if (position >= length) {
        throw bad_input{"", "text " + std::to_string(text),
                        "at least " + std::to_string(position + 1) + " tokens for position " + std::to_string(position),
                        std::to_string(length) + " tokens"};
      }
    }
    return result;
  }

 private:
  std::function<std::vector<std::size_t>(std::size_t)> rule_;
};

}  // namespace optscope
