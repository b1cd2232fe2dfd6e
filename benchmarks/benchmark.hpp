// SPDX-License-Identifier: MIT
#pragma once
// What the benchmarks share: an environment without OpenBLAS overrides, medians, the machine in one line.

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optscope/backend/blas_functions.hpp>
#include <optscope/backend/openblas_kernels.hpp>
#include <string>
#include <vector>

namespace benchmark_tools {

/// OpenBLAS reads its variables when it is loaded: if one is set, run the program again without them.
inline void without_blas_overrides(char** argv) {
  bool changed = false;
  for (const char* name : {"OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"}) {
    if (std::getenv(name) != nullptr) {
      std::fprintf(stderr, "%s=%s is cleared for this benchmark\n", name, std::getenv(name));
      ::unsetenv(name);
      changed = true;
    }
  }
  if (changed) ::execv("/proc/self/exe", argv);
}

/// Prints the kernels that OpenBLAS chose by itself and those in use, and warns if they are below the CPU's level.
inline void print_machine() {
  namespace openblas = optscope::openblas;
  const std::string by_itself{openblas::core()};
  const std::string in_use{openblas::use_best_kernels()};
  std::printf("OpenBLAS kernels: %s, chosen by itself: %s\n", in_use.c_str(), by_itself.c_str());
  if (openblas::level_of(in_use) < optscope::simd::best()) {
    std::printf("warning: these kernels are below what the CPU has\n");
  }
}

template <class Action>
double seconds(Action&& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

/// GFLOP/s of OpenBLAS's own threads on m x k by k x n.
inline double sgemm_rate(int m, int n, int k) {
  namespace blas = optscope::blas;
  std::vector<float> a(static_cast<std::size_t>(m) * k, 0.5f), b(static_cast<std::size_t>(n) * k, 0.25f),
      c(static_cast<std::size_t>(m) * n);
  std::vector<double> times;
  for (int round = 0; round < 5; ++round) {
    times.push_back(seconds([&] {
      blas::gemm(blas::layout::row_major, blas::transpose::no, blas::transpose::yes, m, n, k, 1.0f, a.data(), k,
                 b.data(), k, 0.0f, c.data(), n);
    }));
  }
  return 2.0 * m * n * k / *std::min_element(times.begin(), times.end()) / 1e9;
}

}  // namespace benchmark_tools
