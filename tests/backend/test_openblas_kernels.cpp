// SPDX-License-Identifier: MIT
// Which kernels OpenBLAS runs.
#include <doctest/doctest.h>

#include <cstdlib>
#include <optscope/backend/openblas_kernels.hpp>
#include <string>

using namespace optscope;

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
