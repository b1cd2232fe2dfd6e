// SPDX-License-Identifier: MIT
#pragma once
// The few BLAS routines that the library calls, declared here and nowhere else.

namespace optscope::blas {

// The values are those of the CBLAS interface.
enum class layout : int { row_major = 101, column_major = 102 };
enum class transpose : int { no = 111, yes = 112 };
enum class triangle : int { upper = 121, lower = 122 };
enum class side : int { left = 141, right = 142 };

namespace detail {
// Names of our own for the library's symbols: headers that declare CBLAS with other types (<cblas.h>, xtensor-blas) can
// be included together with this one, in any order.
extern "C" {
void optscope_sgemm(layout order, transpose of_a, transpose of_b, int m, int n, int k, float alpha, const float* a,
                    int lda, const float* b, int ldb, float beta, float* c, int ldc) __asm__("cblas_sgemm");
void optscope_dgemm(layout order, transpose of_a, transpose of_b, int m, int n, int k, double alpha, const double* a,
                    int lda, const double* b, int ldb, double beta, double* c, int ldc) __asm__("cblas_dgemm");
void optscope_dsymm(layout order, side of_a, triangle stored, int m, int n, double alpha, const double* a, int lda,
                    const double* b, int ldb, double beta, double* c, int ldc) __asm__("cblas_dsymm");
}
}  // namespace detail

/// c (m, n) = alpha op(a) (m, k) op(b) (k, n) + beta c, each op as its `transpose` says. Leading dimensions are at
/// least 1 and at least the length of what lies together: rows in `row_major`, columns in `column_major`.
inline void gemm(layout order, transpose of_a, transpose of_b, int m, int n, int k, float alpha, const float* a,
                 int lda, const float* b, int ldb, float beta, float* c, int ldc) {
  detail::optscope_sgemm(order, of_a, of_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}
inline void gemm(layout order, transpose of_a, transpose of_b, int m, int n, int k, double alpha, const double* a,
                 int lda, const double* b, int ldb, double beta, double* c, int ldc) {
  detail::optscope_dgemm(order, of_a, of_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

/// c (m, n) = alpha a b + beta c (a left, (m, m)) or alpha b a + beta c (a right, (n, n)), where a is symmetric and
/// only one triangle of it is read.
inline void symm(layout order, side of_a, triangle stored, int m, int n, double alpha, const double* a, int lda,
                 const double* b, int ldb, double beta, double* c, int ldc) {
  detail::optscope_dsymm(order, of_a, stored, m, n, alpha, a, lda, b, ldb, beta, c, ldc);
}

}  // namespace optscope::blas
