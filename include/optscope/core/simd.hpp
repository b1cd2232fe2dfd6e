// SPDX-License-Identifier: MIT
#pragma once
// Which instructions the CPU has, and running a loop compiled for them.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <type_traits>

namespace optscope::simd {

/// Instruction sets, from least to most.
enum class level { baseline, avx2, avx512 };

/// The best level of this CPU.
[[nodiscard]] level best();

/// Bytes of the widest vectors that code run by `run` may use.
[[nodiscard]] std::size_t vector_bytes();

#if defined(__x86_64__)
namespace detail {
template <class Body>
__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512cd,avx2,fma,f16c"))) void run_avx512(Body& body) {
  body();
}
template <class Body>
__attribute__((target("avx2,fma,f16c"))) void run_avx2(Body& body) {
  body();
}
}  // namespace detail
#endif

/// Calls `body()`, which is compiled three times, in the version for this CPU: users need no `-march`. It is for loops
/// that the compiler vectorises; `body` and what it calls must be inlined
/// (`[&]() __attribute__((always_inline)) { … }`).
template <class Body>
void run(Body&& body) {
#if defined(__x86_64__)
  switch (best()) {
    case level::avx512: return detail::run_avx512(body);
    case level::avx2: return detail::run_avx2(body);
    case level::baseline: break;
  }
#endif
  body();
}

/// The same, compiled twice, with AVX2 as the widest: for loops that are no faster with wider vectors. Element by
/// element it gives the bits of `run`.
template <class Body>
void run_narrow(Body&& body) {
#if defined(__x86_64__)
  if (best() != level::baseline) return detail::run_avx2(body);
#endif
  body();
}

/// Like `run` for code that uses vectors of an explicit size: calls `body(std::integral_constant<int,
/// vector_bytes()>{})`.
template <class Body>
void run_wide(Body&& body) {
#if defined(__x86_64__)
  const auto wide = [&]() __attribute__((always_inline)) { body(std::integral_constant<int, 64>{}); };
  const auto medium = [&]() __attribute__((always_inline)) { body(std::integral_constant<int, 32>{}); };
  switch (best()) {
    case level::avx512: return detail::run_avx512(wide);
    case level::avx2: return detail::run_avx2(medium);
    case level::baseline: break;
  }
#endif
  body(std::integral_constant<int, 16>{});
}

}  // namespace optscope::simd

#ifndef OPTSCOPE_COMPILED
#include <optscope/core/simd.ipp>
#endif
