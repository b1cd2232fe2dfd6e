// SPDX-License-Identifier: MIT
#pragma once
// All singular values of operators that treat each token by itself, as an MLP does.

#include <algorithm>
#include <cstddef>
#include <functional>
#include <memory>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/exact.hpp>
#include <optscope/spectrum/spectrum.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// The values of each token beside those of all.
struct token_spectra : spectrum {
  tensor<double, 2> by_token;  ///< (token, value), descending in each row
};

/// All singular values of a block-diagonal operator: each token's (width, width) block by the route of `exact`, on one
/// thread each, tokens in parallel. Accurate to 1e-14 of the token's largest value. Cost 8/3 width^3 operations a
/// token, memory one block a thread. Throws `bad_input` for an operator that mixes tokens.
class per_token {
 public:
  explicit per_token(analysis_settings settings = {}) : settings_{std::move(settings)} {}

  template <block_operator Op>
  [[nodiscard]] std::size_t bytes(const Op& op) const {
    const std::size_t threads = settings_.threads != 0 ? settings_.threads : std::thread::hardware_concurrency();
    return 8 * (threads * (op.width() * op.width() + detail::band_scratch(op.width(), 1)) + 2 * op.rows());
  }

  /// Throws `bad_input`, before any work, for a size or memory that cannot do, naming the analyser that would.
  template <block_operator Op>
  void check(const Op& op) const {
    detail::require_size("per_token", op.rows(), op.cols());
    if (!op.diagonal()) {
      throw bad_input{"", "per_token", "an operator that treats each token by itself",
                      "one that mixes them; exact or lanczos_quadrature would work"};
    }
    detail::require_memory("per_token", op.rows(), op.cols(), bytes(op), settings_, "fewer threads would do");
  }

  template <block_operator Op>
  [[nodiscard]] token_spectra operator()(Op& op) const {
    const std::size_t width = op.width(), tokens = op.tokens();
    check(op);
    detail::analysis<token_spectra> run{"per_token", op.rows(), op.cols(), detail::operator_floor<Op>(), bytes(op)};
    openblas::use_best_kernels();
    const openblas::single_threaded guard;
    thread_pool pool{settings_.threads};
    std::vector<std::unique_ptr<thread_pool>> alone;  // one thread each: the pool above is not re-entrant
    for (std::size_t i = 0; i < pool.size(); ++i) alone.push_back(std::make_unique<thread_pool>(1));
    tensor<double, 3> blocks{{std::min(pool.size(), tokens), width, width}};
    std::vector<int> outcomes(tokens);  // LAPACK's info
    tensor<double, 2> values{{tokens, width}};
    for (std::size_t first = 0; first < tokens; first += blocks.rows()) {
      if (!settings_.go_on("tokens", static_cast<double>(first) / static_cast<double>(tokens)))
        return run.stop("tokens");
      const std::size_t count = std::min(blocks.rows(), tokens - first);
      for (std::size_t i = 0; i < count; ++i) {  // operators have threads of their own
        op.block(first + i, first + i, tensor_view<double, 2>{blocks.row(i).data(), {width, width}});
      }
      pool.parallel_for(count, [&](std::size_t i, std::size_t worker) {
        outcomes[first + i] =
            values_of(blocks.row(i), width, (first + i) * width, *alone[worker], values.row(first + i));
      });
    }
    for (const int info : outcomes) {
      if (info != 0) return run.fail("dbdsqr", info);
    }
    run.result.values.assign(values.data(), values.data() + values.size());
    std::sort(run.result.values.begin(), run.result.values.end(), std::greater<>{});
    run.result.by_token = std::move(values);
    return run.finish();
  }

 private:
  static int values_of(std::span<double> block, std::size_t width, std::size_t first_row, thread_pool& alone,
                       std::span<double> values) {
    const int exponent =
        detail::scale_safely(block, tensor_view<const double, 2>{block.data(), {width, width}}, first_row);
    std::size_t from_the_start = 0;
    band_matrix band =
        detail::reduce_to_band({block.data(), width, width, width}, alone, from_the_start, [](double) { return true; });
    band.exponent = exponent;
    std::vector<double> found;
    const int info = *detail::band_singular_values(band, alone, found, [](double) { return true; });
    std::ranges::copy(found, values.data());
    return info;
  }

  analysis_settings settings_;
};

static_assert(spectrum_analyser<per_token, block_matrix_operator>, "per_token is a spectrum analyser");

}  // namespace optscope
