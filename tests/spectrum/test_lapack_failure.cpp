// SPDX-License-Identifier: MIT
// A LAPACK that does not converge is an outcome with its info, never a spectrum. This program's LAPACK fails when told.
#include <dlfcn.h>
#include <doctest/doctest.h>

#include <optscope/spectrum/exact.hpp>
#include <optscope/spectrum/gram.hpp>
#include <optscope/spectrum/lanczos_quadrature.hpp>
#include <optscope/spectrum/largest.hpp>
#include <optscope/spectrum/per_token.hpp>
#include <spectrum/known_spectrum.hpp>

namespace optscope::lapack::detail {
namespace {
int failure = 0;  // the info to return
template <class Routine>
Routine* real(const char* name) {
  return reinterpret_cast<Routine*>(::dlsym(RTLD_NEXT, name));
}
}  // namespace

// What the headers declare under LAPACK's names is defined here and so comes before the library's.
extern "C" {
void optscope_dbdsqr(const char* uplo, const int* n, const int* ncvt, const int* nru, const int* ncc, double* d,
                     double* e, double* vt, const int* ldvt, double* u, const int* ldu, double* c, const int* ldc,
                     double* work, int* info, std::size_t length) {
  static auto* const routine = real<decltype(optscope_dbdsqr)>("dbdsqr_");
  routine(uplo, n, ncvt, nru, ncc, d, e, vt, ldvt, u, ldu, c, ldc, work, info, length);
  if (failure != 0) *info = failure;
}
void optscope_dsterf(const int* n, double* d, double* e, int* info) {
  static auto* const routine = real<decltype(optscope_dsterf)>("dsterf_");
  routine(n, d, e, info);
  if (failure != 0) *info = failure;
}
void optscope_dgesdd(const char* jobz, const int* m, const int* n, double* a, const int* lda, double* s, double* u,
                     const int* ldu, double* vt, const int* ldvt, double* work, const int* lwork, int* iwork, int* info,
                     std::size_t length) {
  static auto* const routine = real<decltype(optscope_dgesdd)>("dgesdd_");
  routine(jobz, m, n, a, lda, s, u, ldu, vt, ldvt, work, lwork, iwork, info, length);
  if (failure != 0) *info = failure;
}
}
}  // namespace optscope::lapack::detail

using namespace optscope;

TEST_CASE("LAPACK's info is an outcome of every analyser, with no values") {
  const tensor<double, 2> matrix = matrix_with(100, 100, log_uniform(100, 1, 0.1));
  matrix_operator<double> op{matrix};
  block_matrix_operator blocks{matrix, 10, block_structure::diagonal};
  const auto check = [](const spectrum& found, const char* routine) {
    CAPTURE(found.method);
    CHECK(found.outcome == spectrum_outcome::not_converged);
    CHECK(found.note == std::string{"LAPACK's "} + routine + " did not converge: info 7");
    CHECK(found.lapack_info == 7);
    CHECK(found.values.empty());
    CHECK_FALSE(found.density);
  };
  lapack::detail::failure = 7;
  check(exact{}(op), "dbdsqr");
  check(gram{}(op), "dsterf");
  check(per_token{}(blocks), "dbdsqr");
  check(lanczos_quadrature{{{}, 20, 2}}(op), "dbdsqr");
  check(largest{{{}, 3}}(op), "dgesdd");
  lapack::detail::failure = 0;
  CHECK(exact{}(op).outcome == spectrum_outcome::complete);
}
