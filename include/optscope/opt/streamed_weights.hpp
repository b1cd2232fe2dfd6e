// SPDX-License-Identifier: MIT
#pragma once
// The weight policy that keeps two layers in memory.

#include <cstddef>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/opt/layer_reader.hpp>
#include <optscope/opt/outer_reader.hpp>
#include <optscope/opt/weights.hpp>

namespace optscope {

/// Converts each layer from the mapped file while the one before is computed: memory for two layers, so that a model
/// may be larger than the machine's memory. The default. T is float or double.
template <class T>
class streamed_weights : public outer_reader<T> {
 public:
  streamed_weights(const checkpoint& files, const architecture& shape, thread_pool& pool);
  streamed_weights(streamed_weights&&) noexcept;
  streamed_weights& operator=(streamed_weights&&) noexcept;
  ~streamed_weights();

  layer_weights<T> layer(std::size_t index, std::size_t end, thread_pool& pool);

 private:
  streamed_weights(layer_reader<T> layers, const checkpoint& files, const architecture& shape);

  struct state;  // what the reading thread refers to; it stays where it is when the policy is moved
  std::unique_ptr<state> state_;
};

static_assert(weight_policy<streamed_weights<float>, float> && weight_policy<streamed_weights<double>, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/streamed_weights.ipp>
#endif
