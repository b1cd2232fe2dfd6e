// SPDX-License-Identifier: MIT
#pragma once
// A product of matrices in a device's memory.

#include <cstddef>

namespace optscope::detail {

/// The types of the factors and how products are added up: F32 in fp32, F32 in TF32, F16 or BF16 in fp32, F64 in fp64.
enum class device_arithmetic { f32, tf32, f16, bf16, f64 };

/// y (m, n) = x (m, k) times w, plus y if `accumulate`; w is (n, k) if `transposed`, else (k, n). y is F64 if the
/// factors are, else F32. Strides are in elements.
struct device_product {
  device_arithmetic arithmetic = device_arithmetic::f32;
  const void* x = nullptr;
  std::size_t x_stride = 0;
  const void* w = nullptr;
  std::size_t w_stride = 0;
  bool transposed = true;
  void* y = nullptr;
  std::size_t y_stride = 0;
  std::size_t m = 0, n = 0, k = 0;
  bool accumulate = false;
};

}  // namespace optscope::detail
