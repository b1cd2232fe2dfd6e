// SPDX-License-Identifier: MIT
#pragma once
// What an editor keeps besides its operation: the choice of vectors, resolved for a run, and how many were changed.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/probe/where.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope::detail {

/// A choice of vectors in the runs of an editor.
class placement {
 public:
  placement(std::string operation, where chosen) : operation_{std::move(operation)}, where_{std::move(chosen)} {}

  void begin(const run_plan& plan);
  /// Throws `unfired_hook` if no vector was changed, unless that is allowed.
  void finish(std::string_view sites) const;

  /// The chosen positions of a text that are in a view whose first row is `first`, as rows of the view.
  template <class Action>
  void for_rows(std::size_t text, std::size_t first, std::size_t rows, Action&& action) const {
    for (const std::size_t position : rows_[text]) {
      if (position >= first && position - first < rows) action(position - first);
    }
  }
  /// The chosen positions of a text that are run.
  [[nodiscard]] const std::vector<std::size_t>& positions_of(std::size_t text) const { return rows_[text]; }
  [[nodiscard]] std::vector<std::size_t> rows(const place& at, std::size_t count) const {
    return rows_among(rows_[at.text], at.first_position, count);
  }
  [[nodiscard]] const std::vector<std::size_t>& heads() const noexcept { return heads_; }
  [[nodiscard]] const where& chosen() const noexcept { return where_; }
  /// Such as `zero at mlp_post, layers 3`.
  [[nodiscard]] std::string text(std::string_view sites) const;

  [[nodiscard]] std::size_t fired() const noexcept { return fired_; }
  void count(bool changed) noexcept { fired_ += changed ? 1 : 0; }
  void may_not_fire() noexcept { may_not_fire_ = true; }

 private:
  std::string operation_;
  where where_;
  std::vector<std::vector<std::size_t>> rows_;  // [text]: positions
  std::vector<std::size_t> heads_;
  std::size_t fired_ = 0;
  bool may_not_fire_ = false;
};

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/placement.ipp>
#endif
