// SPDX-License-Identifier: MIT
#pragma once
// Bodies of per_token.hpp.

#include <algorithm>
#include <functional>
#include <memory>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/band_chase.hpp>
#include <optscope/spectrum/dense.hpp>
#include <optscope/spectrum/per_token.hpp>
#include <span>
#include <vector>

namespace optscope {
namespace detail {

/// Singular values of one token's block, which is overwritten; LAPACK's info.
inline int values_of_block(std::span<double> block, std::size_t width, std::size_t first_row, thread_pool& alone,
                           std::span<double> values) {
  const int exponent = scale_safely(block, tensor_view<const double, 2>{block.data(), {width, width}}, first_row);
  const keep_going always = [](double) { return true; };
  std::size_t from_the_start = 0;
  band_matrix band = reduce_to_band({block.data(), width, width, width}, alone, from_the_start, always);
  band.exponent = exponent;
  std::vector<double> found;
  const int info = *band_singular_values(band, alone, found, always);
  std::ranges::copy(found, values.data());
  return info;
}

}  // namespace detail

OPTSCOPE_INLINE std::size_t per_token::bytes(const operator_shape& shape) const {
  const std::size_t block = shape.width * shape.width + detail::band_scratch(shape.width, 1);
  return 8 * (settings_.thread_count() * block + 2 * shape.rows);
}

OPTSCOPE_INLINE double per_token::operations(const operator_shape& shape) const {
  const auto width = static_cast<double>(shape.width);
  return 8.0 / 3 * width * width * width * static_cast<double>(shape.tokens);
}

OPTSCOPE_INLINE void per_token::check(const operator_shape& shape) const {
  detail::require_size(name, shape);
  if (!shape.diagonal) {
    throw bad_input{"", "per_token", "an operator that treats each token by itself",
                    "one that mixes tokens; exact or quadrature would work"};
  }
  detail::require_memory(name, shape, bytes(shape), settings_, "fewer threads would need less");
}

OPTSCOPE_INLINE token_spectra per_token::analyse(detail::any_matrix& op) const {
  check(op.shape());
  const std::size_t width = op.shape().width, tokens = op.shape().tokens;
  detail::analysis<token_spectra> run{name, op.shape(), op.floor(), bytes(op.shape())};
  openblas::use_best_kernels();
  const openblas::single_threaded guard;
  thread_pool pool{settings_.threads};
  std::vector<std::unique_ptr<thread_pool>> alone;  // one thread each: the pool above is not re-entrant
  for (std::size_t i = 0; i < pool.size(); ++i) alone.push_back(std::make_unique<thread_pool>(1));
  tensor<double, 3> blocks{{std::min(pool.size(), tokens), width, width}};
  std::vector<int> outcomes(tokens);  // LAPACK's info
  tensor<double, 2> values{{tokens, width}};
  for (std::size_t first = 0; first < tokens; first += blocks.rows()) {
    if (!settings_.keep_going("tokens", static_cast<double>(first) / static_cast<double>(tokens)))
      return run.stop("tokens");
    const std::size_t count = std::min(blocks.rows(), tokens - first);
    for (std::size_t i = 0; i < count; ++i) {  // operators have threads of their own
      op.block(first + i, first + i, tensor_view<double, 2>{blocks.row(i).data(), {width, width}});
    }
    pool.parallel_for(count, [&](std::size_t i, std::size_t worker) {
      const std::size_t token = first + i;
      outcomes[token] = detail::values_of_block(blocks.row(i), width, token * width, *alone[worker], values.row(token));
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

}  // namespace optscope
