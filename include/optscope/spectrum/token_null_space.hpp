// SPDX-License-Identifier: MIT
#pragma once
// The null space that a LayerNorm gives a block: each token's mean.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/spectrum/erased_operator.hpp>
#include <span>

namespace optscope::detail {

/// Subtracts its mean from each group of `width` neighbours.
template <class T>
void remove_means(std::span<T> x, std::size_t width);

/// Whether the operator maps vectors that are constant on each group of `width` neighbours to zero: measured with a
/// random one against a random vector of the same length.
template <class T>
[[nodiscard]] bool loses_means(any_operator<T>& op, std::size_t width, std::uint64_t seed);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/token_null_space.ipp>
#endif
