// SPDX-License-Identifier: MIT
#pragma once
// The weight policy that keeps all layers in memory.

#include <cstddef>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/opt/layer_reader.hpp>
#include <optscope/opt/outer_reader.hpp>
#include <optscope/opt/weights.hpp>
#include <vector>

namespace optscope {

/// Converts all layers once: memory for the whole model, no work later. For many short runs. Copies share the memory.
/// T is float or double.
template <class T>
class resident_weights : public outer_reader<T> {
 public:
  resident_weights(const checkpoint& files, const architecture& shape, thread_pool& pool);

  layer_weights<T> layer(std::size_t index, std::size_t, thread_pool&) { return layers_[index]; }

 private:
  resident_weights(const layer_reader<T>& reader, const checkpoint& files, const architecture& shape,
                   thread_pool& pool);

  std::shared_ptr<std::vector<T>> buffer_;
  std::vector<layer_weights<T>> layers_;
};

static_assert(weight_policy<resident_weights<float>, float> && weight_policy<resident_weights<double>, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/resident_weights.ipp>
#endif
