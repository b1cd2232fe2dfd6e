// SPDX-License-Identifier: MIT
// Which kernels OpenBLAS runs.
#include <doctest/doctest.h>

#include <cstdlib>
#include <optscope/backend/openblas_kernels.hpp>
#include <string>

using namespace optscope;

extern "C" __attribute__((weak)) int threads_of_openblas() __asm__("openblas_get_num_threads");

TEST_CASE("OpenBLAS runs kernels of the CPU's level, unless the user chose others") {
  if (openblas::core().empty()) {
    MESSAGE("skipped: another BLAS");
    return;
  }
  const std::string core{openblas::use_best_kernels()};
  MESSAGE("OpenBLAS kernels: " << core);
  if (std::getenv("OPENBLAS_CORETYPE") == nullptr) CHECK(openblas::level_of(core) >= simd::best());
  CHECK(openblas::detail::multiplies_correctly());
}

TEST_CASE("OpenBLAS has its number of threads again when the last that wanted one thread is gone") {
  if (openblas::core().empty()) {
    MESSAGE("skipped: another BLAS");
    return;
  }
  const int before = threads_of_openblas();
  {
    const openblas::single_threaded outer;
    CHECK_EQ(threads_of_openblas(), 1);
    { const openblas::single_threaded inner; }
    CHECK_EQ(threads_of_openblas(), 1);
  }
  CHECK_EQ(threads_of_openblas(), before);
}
