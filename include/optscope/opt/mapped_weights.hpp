// SPDX-License-Identifier: MIT
#pragma once
// The weight policy of a model whose matrices are multiplied where they lie in the mapped files.

#include <cstddef>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/opt/weights.hpp>
#include <span>
#include <vector>

namespace optscope {

/// Leaves the weights in the mapped files, F16, BF16 or F32 as they are stored, so that a model is loaded at once and
/// takes no memory but the system's cache of its files. While a layer is computed, the system is asked for the next
/// one: a model may be larger than the machine's memory. The default. T is float or double.
///
/// Copied and kept as T are only biases, LayerNorms, and matrices that are not contiguous in the file or, for float,
/// F64. Copies of the policy share all of it. The files must not change while it lives (see `mapped_file`).
template <class T>
class mapped_weights {
 public:
  /// Checks all tensors; throws `checkpoint_error` for one that is missing or has another shape.
  mapped_weights(const checkpoint& files, const architecture& shape, thread_pool& pool);

  [[nodiscard]] layer_weights<T> layer(std::size_t index, std::size_t end, thread_pool& pool);
  /// A layer never changes. A policy that inherits this one and gives a layer other values in time has its own.
  [[nodiscard]] static std::size_t version(std::size_t) noexcept { return 0; }
  void token_embedding(std::span<const token_id> ids, tensor_view<T, 2> rows) const;
  void position_embedding(std::size_t first, tensor_view<T, 2> rows) const;
  [[nodiscard]] const outer_weights<T>& outer() const noexcept { return outer_; }
  [[nodiscard]] const matrix_view<T>& unembedding() const noexcept { return unembedding_; }

 private:
  std::shared_ptr<std::vector<std::vector<T>>> copies_;
  std::vector<std::vector<stored_tensor>> files_of_;  // [layer], then outside: matrices in files, which stay mapped
  std::vector<layer_weights<T>> layers_;
  stored_tensor tokens_, positions_;
  outer_weights<T> outer_;
  matrix_view<T> unembedding_;
  std::size_t ahead_, waits_;  // layers that are still asked for before they are used; `disk_waits` at the last one
};

static_assert(weight_policy<mapped_weights<float>, float> && weight_policy<mapped_weights<double>, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/mapped_weights.ipp>
#endif
