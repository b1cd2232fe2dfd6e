// SPDX-License-Identifier: MIT
#pragma once
// Bodies of simd.hpp.

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <optscope/core/simd.hpp>

namespace optscope::simd {

#if defined(__x86_64__)
namespace detail {
/// Not a name that `__builtin_cpu_supports` of clang 14 knows.
inline bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
}  // namespace detail
#endif

OPTSCOPE_INLINE level best() {
#if defined(__x86_64__)
  static const level found = [] {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512cd")) {
      return level::avx512;
    }
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && detail::has_f16c() ? level::avx2
                                                                                                 : level::baseline;
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
