// SPDX-License-Identifier: MIT
#pragma once
// Logits to probabilities.

#include <optscope/backend/elementwise.hpp>
#include <optscope/core/cpu.hpp>
#include <span>

namespace optscope {

/// Makes of a row of logits their softmax, in place.
template <class T>
void to_probabilities(std::span<T> row) {
  cpu::run([&]() __attribute__((always_inline)) { kernel::softmax(row.data(), row.size()); });
}

}  // namespace optscope
