// SPDX-License-Identifier: MIT
#pragma once
// Finds NaN and infinity in the weights of a checkpoint.

#include <cstddef>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/threads.hpp>
#include <string>
#include <vector>

namespace optscope {

/// A tensor with NaN or infinity in it.
struct not_finite_tensor {
  std::string name;
  std::size_t count;  ///< NaN and infinite elements
  std::size_t first;  ///< row-major index of the first
};

/// The tensors with NaN or infinity in them, in name order. A model still runs with them, as in transformers; this says
/// why results are NaN. Reads every weight once, on all threads of the pool, and keeps none.
[[nodiscard]] std::vector<not_finite_tensor> find_not_finite(const checkpoint& files, thread_pool& pool);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/checkpoint/not_finite.ipp>
#endif
