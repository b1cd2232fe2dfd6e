// SPDX-License-Identifier: MIT
#pragma once
// Symmetric matrices: products X Xᵀ and the reduction to band form, in tiles on a pool of threads.

#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/spectrum/band_matrix.hpp>

namespace optscope::detail {

/// Lower triangle of g (n, n) += x xᵀ, x (n, k) column-major. Tiles on the diagonal are written above it too.
void add_product(const column_major& g, const column_major& x, thread_pool& pool);

/// Lower band of width 64 with the eigenvalues of the symmetric `a`, whose lower triangle is overwritten (and what lies
/// within 128 above its diagonal): QR of a panel below the band, then A - V Xᵀ - X Vᵀ with X = W - V (Tᵀ Vᵀ W) / 2 and
/// W = A V T. 4/3 n^3 operations. `k` and `go(fraction)` as in `reduce_to_band`.
[[nodiscard]] band_matrix reduce_symmetric_to_band(const column_major& a, thread_pool& pool, std::size_t& k,
                                                   const keep_going& go);

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/symmetric_band.ipp>
#endif
