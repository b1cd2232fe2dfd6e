// SPDX-License-Identifier: MIT
#pragma once
// Reads the layers of a checkpoint into buffers.

#include <cstddef>
#include <memory>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/opt/tensors.hpp>
#include <optscope/opt/weights.hpp>
#include <vector>

namespace optscope {

/// Reads layers from a checkpoint into buffers of T, float or double.
template <class T>
class layer_reader {
 public:
  /// Checks the shapes of all layers' tensors; throws `checkpoint_error` for one that is missing or has another.
  layer_reader(const checkpoint& files, const architecture& shape);

  /// Elements that the largest layer needs.
  [[nodiscard]] std::size_t size() const noexcept { return size_; }

  /// Converts a layer into `buffer` of `size()` elements, on all threads of the pool. Allocates nothing.
  layer_weights<T> read(std::size_t layer, T* buffer, thread_pool& pool) const;

  /// The same on the calling thread alone, with the disk some pieces ahead, into the next layer.
  layer_weights<T> read(std::size_t layer, T* buffer) const;

 private:
  struct piece {  // rows of a tensor and where in the buffer they go
    std::shared_ptr<const stored_tensor> tensor;
    std::size_t first, count, offset;
  };

  layer_weights<T> view(std::size_t layer, const T* buffer) const;

  architecture shape_;
  layer_sizes sizes_;
  std::vector<std::vector<piece>> layers_;  // [layer]
  std::size_t size_ = 0;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/opt/layer_reader.ipp>
#endif
