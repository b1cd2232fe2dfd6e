// SPDX-License-Identifier: MIT
#pragma once
// The few LAPACK routines that the dense spectra need, column-major as in Fortran; each returns LAPACK's `info`.

#include <chrono>
#include <cstddef>
#include <future>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

namespace optscope::lapack {

namespace detail {
// Own names for the library's symbols: headers that declare LAPACK with other types (<lapacke.h>, xtensor-blas) can be
// included together with this one, in any order. gfortran passes the lengths of strings after all other arguments.
extern "C" {
void optscope_dgeqrt(const int* m, const int* n, const int* nb, double* a, const int* lda, double* t, const int* ldt,
                     double* work, int* info) __asm__("dgeqrt_");
void optscope_dbdsqr(const char* uplo, const int* n, const int* ncvt, const int* nru, const int* ncc, double* d,
                     double* e, double* vt, const int* ldvt, double* u, const int* ldu, double* c, const int* ldc,
                     double* work, int* info, std::size_t) __asm__("dbdsqr_");
void optscope_dsterf(const int* n, double* d, double* e, int* info) __asm__("dsterf_");
void optscope_dgesdd(const char* jobz, const int* m, const int* n, double* a, const int* lda, double* s, double* u,
                     const int* ldu, double* vt, const int* ldvt, double* work, const int* lwork, int* iwork, int* info,
                     std::size_t) __asm__("dgesdd_");
void optscope_dsygvd(const int* itype, const char* jobz, const char* uplo, const int* n, double* a, const int* lda,
                     double* b, const int* ldb, double* w, double* work, const int* lwork, int* iwork,
                     const int* liwork, int* info, std::size_t, std::size_t) __asm__("dsygvd_");
}
}  // namespace detail

/// QR of a (m, n) in one block of min(m, n) reflectors: R in the upper triangle, V below, T (min, min). `work`: n *
/// min.
[[nodiscard]] inline int geqrt(int m, int n, double* a, int lda, double* t, int ldt, double* work) {
  int info = 0;
  const int block = m < n ? m : n;
  detail::optscope_dgeqrt(&m, &n, &block, a, &lda, t, &ldt, work, &info);
  return info;
}

/// Singular values of an upper bidiagonal matrix, descending, in d. With `vt` (n, ncvt), that becomes Pᵀ vt, P the
/// right singular vectors. `work`: 4 n.
[[nodiscard]] inline int bdsqr(int n, double* d, double* e, double* vt, int ncvt, double* work) {
  int info = 0;
  const int zero = 0, one = 1, ldvt = n > 1 ? n : 1;
  double none = 0;
  detail::optscope_dbdsqr("U", &n, &ncvt, &zero, &zero, d, e, ncvt == 0 ? &none : vt, &ldvt, &none, &one, &none, &one,
                          work, &info, 1);
  return info;
}

/// Eigenvalues of a symmetric tridiagonal matrix, ascending, in d.
[[nodiscard]] inline int sterf(int n, double* d, double* e) {
  int info = 0;
  detail::optscope_dsterf(&n, d, e, &info);
  return info;
}

/// a (m, n) = u s vt, thin: u (m, min), s (min), vt (min, n). `iwork`: 8 min; `lwork` = -1 asks for its size.
[[nodiscard]] inline int gesdd(int m, int n, double* a, double* s, double* u, double* vt, double* work, int lwork,
                               int* iwork) {
  int info = 0;
  const int smaller = m < n ? m : n;
  detail::optscope_dgesdd("S", &m, &n, a, &m, s, u, &m, vt, &smaller, work, &lwork, iwork, &info, 1);
  return info;
}

/// Eigenvalues w, ascending, and eigenvectors of A v = w B v, both symmetric with their lower triangles given: the
/// vectors are the columns of a, scaled so that vᵀ B v = 1; b becomes its Cholesky factor. `lwork` = -1 asks for its
/// size.
[[nodiscard]] inline int sygvd(int n, double* a, double* b, double* w, double* work, int lwork, int* iwork,
                               int liwork) {
  int info = 0;
  const int one = 1;
  detail::optscope_dsygvd(&one, "V", "L", &n, a, &n, b, &n, w, work, &lwork, iwork, &liwork, &info, 1, 1);
  return info;
}

/// Runs `routine()` on its own thread and asks `keep_going()` meanwhile, because LAPACK cannot be interrupted. Returns
/// what the routine returns; nothing, at once, if `keep_going()` says no. The routine then runs to its end and its
/// result is dropped, so it must own all that it touches.
template <class Routine, class KeepGoing>
[[nodiscard]] std::optional<std::invoke_result_t<Routine&>> unless_stopped(Routine routine, KeepGoing&& keep_going) {
  std::packaged_task<std::invoke_result_t<Routine&>()> task{std::move(routine)};
  auto result = task.get_future();
  std::thread{std::move(task)}.detach();
  while (result.wait_for(std::chrono::milliseconds{50}) != std::future_status::ready) {
    if (!keep_going()) return std::nullopt;
  }
  return result.get();
}

}  // namespace optscope::lapack
