// SPDX-License-Identifier: MIT
#pragma once
// Band matrices to bidiagonal or tridiagonal form: several threads chase bulges along the band, one after another.

#include <cstddef>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/band_matrix.hpp>
#include <vector>

namespace optscope::detail {

/// Bidiagonal d (n), e (n - 1) with the singular values of an upper band; false if `go(fraction)` returned false.
[[nodiscard]] bool chase_to_bidiagonal(const band_matrix& band, thread_pool& pool, double* d, double* e,
                                       const keep_going& go);

/// Tridiagonal d (n), e (n - 1) with the eigenvalues of a symmetric lower band; false if `go(fraction)` returned false.
[[nodiscard]] bool chase_to_tridiagonal(const band_matrix& band, thread_pool& pool, double* d, double* e,
                                        const keep_going& go);

/// Singular values of an upper band matrix, descending, into `values`. Returns LAPACK's info, or nothing if
/// `go(fraction)` returned false.
[[nodiscard]] std::optional<int> band_singular_values(const band_matrix& band, thread_pool& pool,
                                                      std::vector<double>& values, const keep_going& go);

/// Square roots of the eigenvalues of a symmetric band matrix, negative ones as 0, likewise.
[[nodiscard]] std::optional<int> band_eigenvalue_roots(const band_matrix& band, thread_pool& pool,
                                                       std::vector<double>& values, const keep_going& go);

/// A dense matrix on its way to band form.
struct partly_reduced {
  std::vector<double> numbers;
  std::size_t reduced = 0;
  int exponent = 0;
};

/// Throws `bad_input` unless an analyser can resume from this band.
void require_state(const band_matrix& band, std::size_t size, bool symmetric, const char* method);

/// What a stopped analysis left of its matrix; without numbers if it left nothing.
[[nodiscard]] partly_reduced take_unreduced(band_matrix* state, std::size_t numbers, bool symmetric,
                                            const char* method);
void leave_unreduced(partly_reduced matrix, bool symmetric, band_matrix* state);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/band_chase.ipp>
#endif
