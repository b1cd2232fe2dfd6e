// SPDX-License-Identifier: MIT
#pragma once
// Blocks of long vectors: inner products, combinations and orthonormal bases, in pieces on a pool of threads.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/threads.hpp>
#include <span>

namespace optscope::detail {

/// Normally distributed numbers that depend on (seed, vector, index) alone: splitmix64 and Box & Muller.
template <class T>
void fill_normal(std::uint64_t seed, std::uint64_t vector, std::span<T> row);

/// Euclidean length, summed in double.
template <class T>
[[nodiscard]] double length(std::span<const T> x);

/// x -= factor y.
template <class T>
void subtract_scaled(std::span<T> x, T factor, std::span<const T> y);

/// x *= factor.
template <class T>
void multiply(std::span<T> x, T factor);

/// Arithmetic of blocks of row vectors; sums over a vector are taken in pieces of fixed length, so that bits do not
/// depend on the number of threads.
template <class T>
class block_vectors {
 public:
  explicit block_vectors(thread_pool& pool) : pool_{pool} {}

  /// a (k, n) times b (p, n) transposed, in double: (k, p).
  [[nodiscard]] tensor<double, 2> dots(tensor_view<const T, 2> a, tensor_view<const T, 2> b) const;

  /// x (k, n) += factor * coefficients (k, p) basis (p, n).
  void add(double factor, const tensor<double, 2>& coefficients, tensor_view<const T, 2> basis,
           tensor_view<T, 2> x) const;

  /// x -= its part in the span of the orthonormal rows of `basis`, twice; returns what was taken away: (k, p).
  tensor<double, 2> project_out(tensor_view<const T, 2> basis, tensor_view<T, 2> x) const;

  struct factors {
    tensor<double, 2> coefficients;  // (k, p)
    tensor<double, 2> triangle;      // (k, k), lower
  };
  /// x (k, n) = coefficients basis + triangle x', the rows of x' orthonormal and orthogonal to `basis`; x becomes x'. A
  /// row with nothing new in it is replaced by a random one with coefficient 0. p + k must be at most n.
  factors orthonormalise(tensor_view<const T, 2> basis, tensor_view<T, 2> x, std::uint64_t seed, double scale) const;

 private:
  thread_pool& pool_;
};

}  // namespace optscope::detail

#ifndef OPTSCOPE_COMPILED
#include <optscope/spectrum/block_vectors.ipp>
#endif
