// SPDX-License-Identifier: MIT
#pragma once
// Bodies of simd.hpp.

#include <optscope/core/simd.hpp>

namespace optscope::simd {

OPTSCOPE_INLINE level best() {
#if defined(__x86_64__)
  static const level found = [] {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")) {
      return level::avx512;
    }
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? level::avx2 : level::baseline;
  }();
  return found;
#else
  return level::baseline;
#endif
}

OPTSCOPE_INLINE std::size_t vector_bytes() {
  const level found = best();
  return found == level::avx512 ? 64 : found == level::avx2 ? 32 : 16;
}

}  // namespace optscope::simd
