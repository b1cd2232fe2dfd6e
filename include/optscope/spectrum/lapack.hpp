// SPDX-License-Identifier: MIT
#pragma once
// The few LAPACK routines that the dense spectra need, column-major as in Fortran; each returns LAPACK's `info`.

#include <cstddef>

namespace optscope::lapack {

namespace detail {
// Names of our own with the library's symbols: other headers that declare LAPACK with other types do not conflict.
// gfortran passes the lengths of strings behind all other arguments.
extern "C" {
void optscope_dgeqrt(const int* m, const int* n, const int* nb, double* a, const int* lda, double* t, const int* ldt,
                     double* work, int* info) __asm__("dgeqrt_");
void optscope_dgelqt(const int* m, const int* n, const int* mb, double* a, const int* lda, double* t, const int* ldt,
                     double* work, int* info) __asm__("dgelqt_");
void optscope_dgemqrt(const char* side, const char* trans, const int* m, const int* n, const int* k, const int* nb,
                      const double* v, const int* ldv, const double* t, const int* ldt, double* c, const int* ldc,
                      double* work, int* info, std::size_t, std::size_t) __asm__("dgemqrt_");
void optscope_dgemlqt(const char* side, const char* trans, const int* m, const int* n, const int* k, const int* mb,
                      const double* v, const int* ldv, const double* t, const int* ldt, double* c, const int* ldc,
                      double* work, int* info, std::size_t, std::size_t) __asm__("dgemlqt_");
void optscope_dgbbrd(const char* vect, const int* m, const int* n, const int* ncc, const int* kl, const int* ku,
                     double* ab, const int* ldab, double* d, double* e, double* q, const int* ldq, double* pt,
                     const int* ldpt, double* c, const int* ldc, double* work, int* info,
                     std::size_t) __asm__("dgbbrd_");
void optscope_dbdsqr(const char* uplo, const int* n, const int* ncvt, const int* nru, const int* ncc, double* d,
                     double* e, double* vt, const int* ldvt, double* u, const int* ldu, double* c, const int* ldc,
                     double* work, int* info, std::size_t) __asm__("dbdsqr_");
void optscope_dsytrd_sb2st(const char* stage1, const char* vect, const char* uplo, const int* n, const int* kd,
                           double* ab, const int* ldab, double* d, double* e, double* hous, const int* lhous,
                           double* work, const int* lwork, int* info, std::size_t, std::size_t,
                           std::size_t) __asm__("dsytrd_sb2st_");
void optscope_dsterf(const int* n, double* d, double* e, int* info) __asm__("dsterf_");
void optscope_dgesdd(const char* jobz, const int* m, const int* n, double* a, const int* lda, double* s, double* u,
                     const int* ldu, double* vt, const int* ldvt, double* work, const int* lwork, int* iwork, int* info,
                     std::size_t) __asm__("dgesdd_");
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

/// LQ of a (m, n), likewise: L in the lower triangle, V above. `work`: m * min(m, n).
[[nodiscard]] inline int gelqt(int m, int n, double* a, int lda, double* t, int ldt, double* work) {
  int info = 0;
  const int block = m < n ? m : n;
  detail::optscope_dgelqt(&m, &n, &block, a, &lda, t, &ldt, work, &info);
  return info;
}

/// c (m, n) = Qᵀ c with the k reflectors of `geqrt`. `work`: n * k.
[[nodiscard]] inline int apply_qr_left(int m, int n, int k, const double* v, int ldv, const double* t, int ldt,
                                       double* c, int ldc, double* work) {
  int info = 0;
  detail::optscope_dgemqrt("L", "T", &m, &n, &k, &k, v, &ldv, t, &ldt, c, &ldc, work, &info, 1, 1);
  return info;
}

/// c (m, n) = c Qᵀ with the k reflectors of `gelqt`. `work`: m * k.
[[nodiscard]] inline int apply_lq_right(int m, int n, int k, const double* v, int ldv, const double* t, int ldt,
                                        double* c, int ldc, double* work) {
  int info = 0;
  detail::optscope_dgemlqt("R", "T", &m, &n, &k, &k, v, &ldv, t, &ldt, c, &ldc, work, &info, 1, 1);
  return info;
}

/// Upper band (n, n) with ku superdiagonals to upper bidiagonal d (n), e (n - 1). `work`: 2 n.
[[nodiscard]] inline int gbbrd(int n, int ku, double* ab, double* d, double* e, double* work) {
  int info = 0;
  const int zero = 0, one = 1, ldab = ku + 1;
  double none = 0;
  detail::optscope_dgbbrd("N", &n, &n, &zero, &zero, &ku, ab, &ldab, d, e, &none, &one, &none, &one, &none, &one, work,
                          &info, 1);
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

/// Symmetric lower band (n, n) with kd subdiagonals to tridiagonal d (n), e (n - 1). With `lwork` = -1 the first
/// elements of `hous` and `work` become the sizes wanted.
[[nodiscard]] inline int sytrd_sb2st(int n, int kd, double* ab, double* d, double* e, double* hous, int lhous,
                                     double* work, int lwork) {
  int info = 0;
  const int ldab = kd + 1;
  detail::optscope_dsytrd_sb2st("Y", "N", "L", &n, &kd, ab, &ldab, d, e, hous, &lhous, work, &lwork, &info, 1, 1, 1);
  return info;
}

/// Eigenvalues of a symmetric tridiagonal matrix, ascending, in d.
[[nodiscard]] inline int sterf(int n, double* d, double* e) {
  int info = 0;
  detail::optscope_dsterf(&n, d, e, &info);
  return info;
}

/// a (m, n) = u s vt, thin: u (m, min), s (min), vt (min, n). `iwork`: 8 min; `lwork` = -1 asks.
[[nodiscard]] inline int gesdd(int m, int n, double* a, double* s, double* u, double* vt, double* work, int lwork,
                               int* iwork) {
  int info = 0;
  const int smaller = m < n ? m : n;
  detail::optscope_dgesdd("S", &m, &n, a, &m, s, u, &m, vt, &smaller, work, &lwork, iwork, &info, 1);
  return info;
}

}  // namespace optscope::lapack
