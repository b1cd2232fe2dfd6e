// SPDX-License-Identifier: MIT
#pragma once
// Which layers or positions: a list of indices and Python slices, separated by commas.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// A list such as `0,5,-1`, `475:512:4`, `::-1` or `all`, read once and applied to any extent.
///
///     selection::parse("475:512:4,-1").of(512);  // 475, 479, … 511
///
/// The order is as written; repeats are dropped. Negative indices count from the end; slices clip as in Python.
class selection {
 public:
  /// Throws `bad_input` if `spec` is not such a list; `item` names it in the message.
  static selection parse(std::string_view spec, std::string item = "selection");

  /// The chosen indices among `0 … extent - 1`. Throws `bad_input` if a single index is outside or nothing is chosen.
  [[nodiscard]] std::vector<std::size_t> of(std::size_t extent) const;

 private:
  struct part {
    bool slice = false;
    std::optional<std::int64_t> begin, end;
    std::int64_t step = 1;
    std::string written{};  // for messages
  };

  selection(std::string spec, std::string item);
  [[nodiscard]] part part_of(std::string_view text) const;
  [[nodiscard]] std::optional<std::int64_t> number(std::string_view text, std::string_view whole) const;
  [[noreturn]] void refuse(std::string_view text) const;

  std::string spec_, item_;
  std::vector<part> parts_;
};

/// `selection::parse(spec, item).of(extent)`.
std::vector<std::size_t> parse_selection(std::string_view spec, std::size_t extent, std::string item = "selection");

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/selection.ipp>
#endif
