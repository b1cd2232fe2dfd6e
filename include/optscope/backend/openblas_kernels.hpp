// SPDX-License-Identifier: MIT
#pragma once
// Makes OpenBLAS use kernels for this CPU's instruction set, and limits it to one thread where the caller has its own.

#include <optscope/core/compiled.hpp>
#include <optscope/core/simd.hpp>
#include <string_view>

namespace optscope::openblas {

/// The name of OpenBLAS's kernel set in use, as `openblas_get_corename` gives it; empty for another BLAS.
[[nodiscard]] std::string_view core();

/// The instruction set that a kernel set is written for.
[[nodiscard]] simd::level level_of(std::string_view core);

/// OpenBLAS 0.3.21 does not know every CPU: on an Emerald Rapids Xeon it falls back to kernels of 2004 (`Prescott`),
/// five times slower than what the CPU can do. Once per process, this function replaces OpenBLAS's choice if it is
/// below the CPU's instruction set, checks the new kernels on a product, and goes back if they are wrong. What the user
/// sets in `OPENBLAS_CORETYPE` stays. Must not run while another thread is inside BLAS. Returns the core in use.
std::string_view use_best_kernels();

/// While objects of this type live, in any threads, a BLAS call uses the calling thread alone; when the last is gone,
/// the former number is set again. Does nothing with another BLAS than OpenBLAS.
class [[nodiscard]] single_threaded {
 public:
  single_threaded();
  ~single_threaded();
  single_threaded(const single_threaded&) = delete;
  single_threaded& operator=(const single_threaded&) = delete;
};

namespace detail {
/// True if a product that is small enough to check by hand, and large enough to reach the main kernels, is right.
[[nodiscard]] bool multiplies_correctly();
}  // namespace detail

}  // namespace optscope::openblas

#ifndef OPTSCOPE_COMPILED
#include <optscope/backend/openblas_kernels.ipp>
#endif
