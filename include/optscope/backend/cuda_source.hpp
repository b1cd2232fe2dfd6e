// SPDX-License-Identifier: MIT
#pragma once
// The source of the CUDA kernels as a string for NVRTC. Needs no CUDA toolkit.

#include <string>
#include <string_view>

namespace optscope::detail {

#define OPTSCOPE_CUDA_SOURCE(...) #__VA_ARGS__

inline constexpr std::string_view cuda_common_source =
#include <optscope/backend/cuda/common.cuh>
    ;
inline constexpr std::string_view cuda_rows_source =
#include <optscope/backend/cuda/rows.cuh>
    ;
inline constexpr std::string_view cuda_attention_source =
#include <optscope/backend/cuda/attention.cuh>
    ;
inline constexpr std::string_view cuda_products_source =
#include <optscope/backend/cuda/products.cuh>
    ;
inline constexpr std::string_view cuda_statistics_source =
#include <optscope/backend/cuda/statistics.cuh>
    ;
#undef OPTSCOPE_CUDA_SOURCE

/// What the kernels need from NVRTC's language; tests/backend/emulator.hpp has the same for the CPU. `SCALAR` is
/// defined on NVRTC's command line.
inline constexpr std::string_view cuda_prelude_source = R"cuda(
#define KERNEL extern "C" __global__ void
#define DEVICE __device__ inline
using scalar = SCALAR;
using index = unsigned long long;
extern __shared__ double shared_bytes[];
template <class T> DEVICE T* shared_memory() { return reinterpret_cast<T*>(shared_bytes); }
DEVICE float half_to_float(unsigned short x) { float y; asm("cvt.f32.f16 %0, %1;" : "=f"(y) : "h"(x)); return y; }
DEVICE unsigned short float_to_half(float x) {
  unsigned short y; asm("cvt.rn.f16.f32 %0, %1;" : "=h"(y) : "f"(x)); return y;
}
DEVICE float float_of_bits(unsigned x) { return __uint_as_float(x); }
DEVICE unsigned bits_of_float(float x) { return __float_as_uint(x); }
DEVICE double rounded_sum(double a, double b) { return __dadd_rn(a, b); }
DEVICE double rounded_product(double a, double b) { return __dmul_rn(a, b); }
DEVICE index address_of(const void* p) { return reinterpret_cast<index>(p); }
DEVICE scalar infinity() { return static_cast<scalar>(__longlong_as_double(0x7ff0000000000000LL)); }
DEVICE index no_place() { return ~0ull; }
)cuda";

/// The whole source. A line ends after each statement, so that NVRTC's messages name a place.
[[nodiscard]] inline std::string cuda_source() {
  std::string text{cuda_prelude_source};
  int depth = 0;  // of parentheses
  for (const std::string_view part :
       {cuda_common_source, cuda_rows_source, cuda_attention_source, cuda_products_source, cuda_statistics_source}) {
    for (const char c : part) {
      text += c;
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
      if (depth == 0 && c == ';') text += '\n';
    }
    text += '\n';
  }
  return text;
}

}  // namespace optscope::detail
