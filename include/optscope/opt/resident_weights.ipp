// SPDX-License-Identifier: MIT
#pragma once
// Bodies of resident_weights.hpp.

#include <optscope/opt/resident_weights.hpp>

namespace optscope {

template <class T>
resident_weights<T>::resident_weights(const checkpoint& files, const architecture& shape, thread_pool& pool)
    : resident_weights{layer_reader<T>{files, shape}, files, shape, pool} {}  // the layers are checked first

template <class T>
resident_weights<T>::resident_weights(const layer_reader<T>& reader, const checkpoint& files, const architecture& shape,
                                      thread_pool& pool)
    : outer_reader<T>{files, shape}, buffer_{std::make_shared<std::vector<T>>(reader.size() * shape.layers)} {
  for (std::size_t i = 0; i < shape.layers; ++i) {
    layers_.push_back(reader.read(i, buffer_->data() + i * reader.size(), pool));
  }
}

#ifdef OPTSCOPE_COMPILED
template class resident_weights<float>;
template class resident_weights<double>;
#endif

}  // namespace optscope
