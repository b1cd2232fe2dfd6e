// SPDX-License-Identifier: MIT
#pragma once
// Bodies of not_finite.hpp.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <optscope/checkpoint/not_finite.hpp>

namespace optscope {

OPTSCOPE_INLINE std::vector<not_finite_tensor> find_not_finite(const checkpoint& files, thread_pool& pool) {
  constexpr std::size_t piece_size = 1 << 16;  // elements
  std::vector<std::vector<double>> buffers(pool.size());
  std::vector<not_finite_tensor> found;
  for (const std::string& name : files.names()) {
    const stored_tensor& tensor = files.at(name);
    if (tensor.size() == 0) continue;
    const std::size_t width = tensor.row_size(), rows = std::max<std::size_t>(1, piece_size / width);
    std::atomic<std::size_t> count = 0, first = tensor.size();
    pool.parallel_for((tensor.rows() + rows - 1) / rows, [&](std::size_t piece, std::size_t thread) {
      const std::size_t begin = piece * rows, size = std::min(rows, tensor.rows() - begin) * width;
      std::vector<double>& values = buffers[thread];
      values.resize(std::max(values.size(), size));
      if (tensor.shape().empty()) {
        tensor.copy_to(values.data());
      } else {
        tensor.copy_rows(begin, size / width, values.data());
      }
      for (std::size_t i = 0; i < size; ++i) {
        if (std::isfinite(values[i])) continue;
        ++count;
        std::size_t known = first;
        while (begin * width + i < known && !first.compare_exchange_weak(known, begin * width + i)) {
        }
      }
    });
    if (count != 0) found.push_back({name, count, first});
  }
  return found;
}

}  // namespace optscope
