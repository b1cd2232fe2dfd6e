// SPDX-License-Identifier: MIT
#pragma once
// Bodies of int8_weights.hpp.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optscope/opt/int8_weights.hpp>

namespace optscope {
namespace detail {

/// Rounds a row to whole numbers, and returns what each is to be multiplied by.
template <class T>
float round_to_int8(const std::vector<T>& row, std::int8_t* to) {
  T largest = 0;
  bool finite = true;
  for (const T value : row) {
    finite = finite && std::isfinite(value);
    largest = std::max(largest, std::abs(value));
  }
  if (!finite) return std::numeric_limits<float>::quiet_NaN();
  const auto scale = static_cast<float>(largest / 127);
  if (scale == 0) return 0;
  const T factor = T{1} / static_cast<T>(scale);
  for (std::size_t i = 0; i < row.size(); ++i) {
    to[i] = static_cast<std::int8_t>(std::clamp<T>(std::nearbyint(row[i] * factor), -127, 127));
  }
  return scale;
}

}  // namespace detail

template <class T>
struct int8_weights<T>::stored {
  std::vector<std::int8_t> values;  // (row, column)
  std::vector<float> scales;        // [row]

  stored(const matrix_view<T>& from, thread_pool& pool) : values(from.size()), scales(from.rows()) {
    constexpr std::size_t at_once = 64;  // rows
    pool.parallel_for((from.rows() + at_once - 1) / at_once, [&](std::size_t block, std::size_t) {
      std::vector<T> row(from.cols());
      for (std::size_t i = block * at_once; i < std::min(from.rows(), (block + 1) * at_once); ++i) {
        from.copy_rows(i, 1, row.data());
        scales[i] = detail::round_to_int8(row, values.data() + i * from.cols());
      }
    });
  }
};

template <class T>
int8_weights<T>::int8_weights(const checkpoint& files, const architecture& shape, thread_pool& pool)
    : mapped_weights<T>{files, shape, pool}, memory_{std::make_shared<std::vector<stored>>()} {
  const auto rounded = [&](const matrix_view<T>& from) {
    const stored& made = memory_->emplace_back(from, pool);
    return matrix_view<T>{made.values.data(), made.scales.data(), from.shape()};
  };
  for (std::size_t i = 0; i < shape.layers; ++i) {
    layer_weights<T> layer = mapped_weights<T>::layer(i, shape.layers, pool);
    for (linear_weights<T>* const map : {&layer.qkv, &layer.out, &layer.fc1, &layer.fc2}) {
      map->weight = rounded(map->weight);
    }
    layers_.push_back(layer);
  }
  unembedding_ = rounded(mapped_weights<T>::unembedding());
}

#ifdef OPTSCOPE_COMPILED
template class int8_weights<float>;
template class int8_weights<double>;
#endif

}  // namespace optscope
