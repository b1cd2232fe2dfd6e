// SPDX-License-Identifier: MIT
#pragma once
// Bodies of openblas_kernels.hpp.

#include <cstddef>
#include <cstdlib>
#include <initializer_list>
#include <mutex>
#include <optscope/backend/blas_functions.hpp>
#include <optscope/backend/openblas_kernels.hpp>
#include <vector>

namespace optscope::openblas {

namespace detail {
// OpenBLAS's own entry points; absent (null) when another BLAS is linked.
extern "C" {
__attribute__((weak)) char* optscope_openblas_get_corename() __asm__("openblas_get_corename");
__attribute__((weak)) int optscope_openblas_get_num_threads() __asm__("openblas_get_num_threads");
__attribute__((weak)) void optscope_openblas_set_num_threads(int) __asm__("openblas_set_num_threads");
__attribute__((weak)) void optscope_gotoblas_dynamic_init() __asm__("gotoblas_dynamic_init");
__attribute__((weak)) void optscope_gotoblas_dynamic_quit() __asm__("gotoblas_dynamic_quit");
}

OPTSCOPE_INLINE bool multiplies_correctly() {
  constexpr int n = 120;
  std::vector<float> a(n * n), b(n * n), c(n * n);
  for (int i = 0; i < n * n; ++i) {
    a[i] = static_cast<float>(i * 37 % 64 - 31);
    b[i] = static_cast<float>(i * 29 % 32 - 15);
  }
  blas::gemm(blas::layout::row_major, blas::transpose::no, blas::transpose::yes, n, n, n, 1, a.data(), n, b.data(), n,
             0, c.data(), n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      float sum = 0;  // whole numbers below 2^24: exact in any order
      for (int k = 0; k < n; ++k) sum += a[i * n + k] * b[j * n + k];
      if (sum != c[i * n + j]) return false;
    }
  }
  return true;
}

/// OpenBLAS has one number of threads for the process.
struct thread_count {
  std::mutex mutex;
  std::size_t users = 0;  // objects of `single_threaded` that live
  int before = 1;         // the number before the first of them
};
inline thread_count& the_thread_count() {
  static thread_count count;
  return count;
}

inline void reload(const char* core) {
  if (core != nullptr) ::setenv("OPENBLAS_CORETYPE", core, 1);
  optscope_gotoblas_dynamic_quit();
  optscope_gotoblas_dynamic_init();
  ::unsetenv("OPENBLAS_CORETYPE");
}

inline std::string_view choose_kernels() {
  const bool replaceable =
      optscope_openblas_get_corename && optscope_gotoblas_dynamic_init && optscope_gotoblas_dynamic_quit;
  if (!replaceable || std::getenv("OPENBLAS_CORETYPE") != nullptr) return core();
  const simd::level best = simd::best();
  if (level_of(core()) < best) {
    reload(best == simd::level::avx512 ? "SkylakeX" : "Haswell");
    if (!multiplies_correctly()) reload(nullptr);
  }
  return core();
}
}  // namespace detail

OPTSCOPE_INLINE std::string_view core() {
  return detail::optscope_openblas_get_corename ? detail::optscope_openblas_get_corename() : "";
}

OPTSCOPE_INLINE simd::level level_of(std::string_view core) {
  for (const std::string_view name : {"SkylakeX", "Cooperlake", "SapphireRapids"}) {
    if (core == name) return simd::level::avx512;
  }
  for (const std::string_view name : {"Haswell", "Zen", "Excavator"}) {
    if (core == name) return simd::level::avx2;
  }
  return simd::level::baseline;
}

OPTSCOPE_INLINE std::string_view use_best_kernels() {
  static const std::string_view chosen = detail::choose_kernels();
  return chosen;
}

OPTSCOPE_INLINE single_threaded::single_threaded() {
  if (!detail::optscope_openblas_get_num_threads || !detail::optscope_openblas_set_num_threads) return;
  detail::thread_count& count = detail::the_thread_count();
  const std::lock_guard lock{count.mutex};
  if (count.users++ != 0) return;
  count.before = detail::optscope_openblas_get_num_threads();
  if (count.before > 1) detail::optscope_openblas_set_num_threads(1);
}
OPTSCOPE_INLINE single_threaded::~single_threaded() {
  if (!detail::optscope_openblas_get_num_threads || !detail::optscope_openblas_set_num_threads) return;
  detail::thread_count& count = detail::the_thread_count();
  const std::lock_guard lock{count.mutex};
  if (--count.users == 0 && count.before > 1) detail::optscope_openblas_set_num_threads(count.before);
}

}  // namespace optscope::openblas
