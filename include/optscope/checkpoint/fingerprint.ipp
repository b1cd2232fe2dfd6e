// SPDX-License-Identifier: MIT
#pragma once
// Bodies of fingerprint.hpp.

#include <cstddef>
#include <cstdint>
#include <optscope/checkpoint/fingerprint.hpp>
#include <vector>

namespace optscope {

OPTSCOPE_INLINE std::string fingerprint(const checkpoint& files) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  const auto add = [&](const void* data, std::size_t size) {
    for (std::size_t i = 0; i < size; ++i) {
      hash = (hash ^ static_cast<const unsigned char*>(data)[i]) * 0x100000001b3u;
    }
  };
  for (const std::string& name : files.names()) {
    const stored_tensor& tensor = files.at(name);
    add(name.data(), name.size());
    for (const std::uint64_t extent : tensor.shape()) add(&extent, sizeof extent);
    if (tensor.size() == 0) continue;
    const std::size_t rows = tensor.shape().size() < 2 ? tensor.rows() : 1;
    std::vector<float> values(rows * tensor.row_size());
    for (const std::size_t first : {std::size_t{0}, tensor.rows() - rows}) {
      if (tensor.shape().empty()) {
        tensor.copy_to(values.data());
      } else {
        tensor.copy_rows(first, rows, values.data());
      }
      add(values.data(), values.size() * sizeof(float));
    }
  }
  std::string text;
  for (int shift = 60; shift >= 0; shift -= 4) text += "0123456789abcdef"[hash >> shift & 15];
  return text;
}

}  // namespace optscope
