// SPDX-License-Identifier: MIT
#pragma once
// Makes OpenBLAS use the kernels that the CPU deserves, and keeps it to one thread where the caller brings its own.

#include <cblas.h>

#include <array>
#include <cmath>
#include <cstdlib>
#include <optscope/core/simd.hpp>
#include <string_view>

extern "C" {
// OpenBLAS's own entry points; absent (null) when another BLAS is linked.
__attribute__((weak)) char* openblas_get_corename();
__attribute__((weak)) int openblas_get_num_threads();
__attribute__((weak)) void openblas_set_num_threads(int);
__attribute__((weak)) void gotoblas_dynamic_init();
__attribute__((weak)) void gotoblas_dynamic_quit();
}

namespace optscope::openblas {

/// The name of OpenBLAS's kernel set in use, as `openblas_get_corename` gives it; empty for another BLAS.
[[nodiscard]] inline std::string_view core() { return openblas_get_corename ? openblas_get_corename() : ""; }

/// The instruction set that a kernel set is written for.
[[nodiscard]] inline simd::level level_of(std::string_view core) {
  for (const std::string_view name : {"SkylakeX", "Cooperlake", "SapphireRapids"}) {
    if (core == name) return simd::level::avx512;
  }
  for (const std::string_view name : {"Haswell", "Zen", "Excavator"}) {
    if (core == name) return simd::level::avx2;
  }
  return simd::level::baseline;
}

namespace detail {
/// A product small enough to check by hand and large enough to reach the main kernels.
inline bool multiplies_correctly() {
  constexpr int n = 120;
  std::array<float, n * n> a, b, c;
  for (int i = 0; i < n * n; ++i) {
    a[i] = static_cast<float>(i * 37 % 64 - 31);
    b[i] = static_cast<float>(i * 29 % 32 - 15);
  }
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, n, n, 1, a.data(), n, b.data(), n, 0, c.data(), n);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      float sum = 0;  // whole numbers below 2^24: exact in any order
      for (int k = 0; k < n; ++k) sum += a[i * n + k] * b[j * n + k];
      if (sum != c[i * n + j]) return false;
    }
  }
  return true;
}

inline void reload(const char* core) {
  if (core != nullptr) ::setenv("OPENBLAS_CORETYPE", core, 1);
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  ::unsetenv("OPENBLAS_CORETYPE");
}
}  // namespace detail

/// OpenBLAS 0.3.21 does not know every CPU: on an Emerald Rapids Xeon it falls back to kernels of 2004 (`Prescott`),
/// five times slower than what the CPU can do. This replaces its choice once per process where it lies below the CPU's
/// instruction set, checks the new kernels on a product, and goes back if they are wrong. What the user sets in
/// `OPENBLAS_CORETYPE` stays. Must not run while another thread is inside BLAS. Returns the core in use.
inline std::string_view use_best_kernels() {
  static const std::string_view chosen = [] {
    const bool replaceable = openblas_get_corename && gotoblas_dynamic_init && gotoblas_dynamic_quit;
    if (!replaceable || std::getenv("OPENBLAS_CORETYPE") != nullptr) return core();
    const simd::level best = simd::best();
    if (level_of(core()) < best) {
      detail::reload(best == simd::level::avx512 ? "SkylakeX" : "Haswell");
      if (!detail::multiplies_correctly()) detail::reload(nullptr);
    }
    return core();
  }();
  return chosen;
}

/// While one lives, a BLAS call uses the calling thread alone; the former number is set again at the end.
class single_threaded {
 public:
  single_threaded() {
    if (openblas_get_num_threads && openblas_set_num_threads) {
      before_ = openblas_get_num_threads();
      if (before_ > 1) openblas_set_num_threads(1);
    }
  }
  ~single_threaded() {
    if (before_ > 1) openblas_set_num_threads(before_);
  }
  single_threaded(const single_threaded&) = delete;
  single_threaded& operator=(const single_threaded&) = delete;

 private:
  int before_ = 1;
};

}  // namespace optscope::openblas
