// SPDX-License-Identifier: MIT
#pragma once
// The weight policy of a model in eight bits: half the memory of its F16 files, and decoding that reads half as much.

#include <cstddef>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/matrix.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/opt/mapped_weights.hpp>
#include <optscope/opt/weights.hpp>
#include <vector>

namespace optscope {

/// Keeps the matrices of the layers and the unembedding in memory as whole numbers from -127 to 127, with a scale for
/// each row, by which its largest weight is 127: each weight is off by at most 1/254 of that. Embeddings, positions,
/// project_in, project_out, biases and LayerNorms stay as they are. Activations are not rounded.
///
///     model<any_opt, float, cpu, int8_weights<float>> opt{files};
///
/// The files are read once, when the model is made. Copies of the policy share the weights. `cpu` multiplies by the
/// bytes where they lie; other backends make T of them. A row with a weight that is not finite is NaN. T is float or
/// double.
template <class T>
class int8_weights : public mapped_weights<T> {
 public:
  int8_weights(const checkpoint& files, const architecture& shape, thread_pool& pool);

  [[nodiscard]] layer_weights<T> layer(std::size_t index, std::size_t, thread_pool&) const { return layers_[index]; }
  [[nodiscard]] const matrix_view<T>& unembedding() const noexcept { return unembedding_; }

 private:
  struct stored;

  std::shared_ptr<std::vector<stored>> memory_;
  std::vector<layer_weights<T>> layers_;
  matrix_view<T> unembedding_;
};

static_assert(weight_policy<int8_weights<float>, float> && weight_policy<int8_weights<double>, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/int8_weights.ipp>
#endif
