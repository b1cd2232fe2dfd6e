// SPDX-License-Identifier: MIT
#pragma once
// Logits to probabilities.

#include <optscope/core/compiled.hpp>
#include <span>

namespace optscope {

/// Replaces a row of logits by its softmax. T is float or double.
template <class T>
void to_probabilities(std::span<T> row);

/// log Σ exp(logit) of a row. T is float or double; the sum over blocks of 1024 is in double.
template <class T>
[[nodiscard]] double log_sum_exp(std::span<const T> row);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/probabilities.ipp>
#endif
