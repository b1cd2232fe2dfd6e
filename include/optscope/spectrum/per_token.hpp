// SPDX-License-Identifier: MIT
#pragma once
// All singular values of operators that treat each token by itself, as an MLP does.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/spectrum/analyser.hpp>
#include <optscope/spectrum/erased_operator.hpp>
#include <string_view>
#include <utility>

namespace optscope {

/// The values of each token in addition to those of all.
struct token_spectra : spectrum {
  tensor<double, 2> by_token;  ///< (token, value), descending in each row
};

/// All singular values of a block-diagonal operator: each token's (width, width) block by the route of `exact`, on one
/// thread each, tokens in parallel. Accurate to 1e-14 of the token's largest value. Cost: 8/3 width^3 operations per
/// token. Memory: one block per thread. Throws `bad_input` for an operator that mixes tokens or writes no blocks.
class per_token {
 public:
  using scalar = double;
  using settings = analysis_settings;
  static constexpr std::string_view name = "per_token", help = "all values of blocks that treat each token by itself";

  explicit per_token(analysis_settings chosen = {}) : settings_{std::move(chosen)} {}

  [[nodiscard]] std::size_t bytes(const operator_shape& shape) const;
  [[nodiscard]] double operations(const operator_shape& shape) const;
  /// Throws `bad_input`, before any work, for an operator, size or memory that will not do.
  void check(const operator_shape& shape) const;

  template <class Op>
  [[nodiscard]] token_spectra operator()(Op& op) const {
    auto erased = detail::erased(op);
    return analyse(erased);
  }

 private:
  [[nodiscard]] token_spectra analyse(detail::any_matrix& op) const;

  analysis_settings settings_;
};

static_assert(spectrum_analyser<per_token, block_matrix_operator>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/per_token.ipp>
#endif
