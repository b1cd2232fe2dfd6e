// SPDX-License-Identifier: MIT
#pragma once
// Bodies of block_vectors.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <optscope/backend/openblas_kernels.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/spectrum/block_vectors.hpp>
#include <optscope/spectrum/products.hpp>

namespace optscope::detail {

template <class T>
void fill_normal(std::uint64_t seed, std::uint64_t vector, std::span<T> row) {
  const auto uniform = [&](std::uint64_t at) {  // in (0, 1)
    std::uint64_t z = seed * 0xd1342543de82ef95u + vector * 0xaf251af3b0f025b5u + (at + 1) * 0x9e3779b97f4a7c15u;
    for (int round = 0; round < 2; ++round) {
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      z ^= z >> 31;
    }
    return (static_cast<double>(z >> 11) + 0.5) * 0x1p-53;
  };
  for (std::size_t i = 0; i < row.size(); i += 2) {
    const double radius = std::sqrt(-2 * std::log(uniform(i))), angle = 2 * std::numbers::pi * uniform(i + 1);
    row[i] = static_cast<T>(radius * std::cos(angle));
    if (i + 1 < row.size()) row[i + 1] = static_cast<T>(radius * std::sin(angle));
  }
}

template <class T>
double length(std::span<const T> x) {
  double lanes[16] = {};
  simd::run([&]() __attribute__((always_inline)) {
    const T* data = x.data();
    std::size_t i = 0;
    for (; i + 16 <= x.size(); i += 16) {
      for (std::size_t lane = 0; lane < 16; ++lane) {
        lanes[lane] += static_cast<double>(data[i + lane]) * static_cast<double>(data[i + lane]);
      }
    }
    for (; i < x.size(); ++i) lanes[i % 16] += static_cast<double>(data[i]) * static_cast<double>(data[i]);
  });
  double sum = 0;
  for (const double lane : lanes) sum += lane;
  return std::sqrt(sum);
}

template <class T>
void subtract_scaled(std::span<T> x, T factor, std::span<const T> y) {
  simd::run([&]() __attribute__((always_inline)) {
    T* to = x.data();
    const T* from = y.data();
    for (std::size_t i = 0; i < x.size(); ++i) to[i] -= factor * from[i];
  });
}
template <class T>
void multiply(std::span<T> x, T factor) {
  simd::run([&]() __attribute__((always_inline)) {
    for (T& value : x) value *= factor;
  });
}

inline constexpr std::size_t piece_length = 8192;  // of the long vectors

inline std::size_t piece_count(std::size_t n) { return (n + piece_length - 1) / piece_length; }
template <class U>
tensor_view<U, 2> piece_of(tensor_view<U, 2> whole, std::size_t piece) {
  const std::size_t first = piece * piece_length;
  return product::columns(whole, first, std::min(piece_length, whole.cols() - first));
}

template <class T>
tensor<double, 2> block_vectors<T>::dots(tensor_view<const T, 2> a, tensor_view<const T, 2> b) const {
  tensor<double, 2> sums{{a.rows(), b.rows()}};
  if (sums.size() == 0) return sums;
  const std::size_t pieces = piece_count(a.cols());
  tensor<T, 3> parts{{pieces, a.rows(), b.rows()}};
  const openblas::single_threaded guard;
  pool_.parallel_for(pieces, [&](std::size_t piece, std::size_t) {
    product::abt<T>(piece_of(a, piece), piece_of(b, piece), tensor_view<T, 2>{parts.row(piece).data(), sums.shape()});
  });
  for (std::size_t piece = 0; piece < pieces; ++piece) {
    for (std::size_t i = 0; i < sums.size(); ++i) sums.data()[i] += static_cast<double>(parts.row(piece)[i]);
  }
  return sums;
}

template <class T>
void block_vectors<T>::add(double factor, const tensor<double, 2>& coefficients, tensor_view<const T, 2> basis,
                           tensor_view<T, 2> x) const {
  if (coefficients.size() == 0) return;
  tensor<T, 2> rounded{coefficients.shape()};
  std::transform(coefficients.data(), coefficients.data() + coefficients.size(), rounded.data(),
                 [factor](double value) { return static_cast<T>(factor * value); });
  const openblas::single_threaded guard;
  pool_.parallel_for(piece_count(x.cols()), [&](std::size_t piece, std::size_t) {
    product::ab<T>(rounded.view(), piece_of(basis, piece), piece_of(x, piece), 1, 1);
  });
}

template <class T>
tensor<double, 2> block_vectors<T>::project_out(tensor_view<const T, 2> basis, tensor_view<T, 2> x) const {
  tensor<double, 2> taken = dots(x, basis);
  add(-1, taken, basis, x);
  const tensor<double, 2> again = dots(x, basis);
  add(-1, again, basis, x);
  for (std::size_t i = 0; i < taken.size(); ++i) taken.data()[i] += again.data()[i];
  return taken;
}

template <class T>
typename block_vectors<T>::factors block_vectors<T>::orthonormalise(tensor_view<const T, 2> basis, tensor_view<T, 2> x,
                                                                    std::uint64_t seed, double scale) const {
  const double nothing = 100 * static_cast<double>(std::numeric_limits<T>::epsilon());
  factors result{project_out(basis, x), tensor<double, 2>{{x.rows(), x.rows()}}};
  for (std::size_t i = 0; i < x.rows(); ++i) {
    const tensor_view<T, 2> row = x.slice(i, 1), before = x.slice(0, i);
    const tensor<double, 2> taken = project_out(before, row);
    for (std::size_t j = 0; j < i; ++j) result.triangle(i, j) = taken(0, j);
    project_out(basis, row);
    double size = length<T>(row.row(0));
    if (size > nothing * scale) {
      result.triangle(i, i) = size;
    } else {
      fill_normal<T>(seed, i, row.row(0));
      multiply<T>(row.row(0), static_cast<T>(1 / length<T>(row.row(0))));
      for (int round = 0; round < 2; ++round) {
        project_out(basis, row);
        project_out(before, row);
      }
      size = length<T>(row.row(0));
    }
    multiply<T>(row.row(0), static_cast<T>(1 / size));
  }
  return result;
}

#ifdef OPTSCOPE_COMPILED
template void fill_normal(std::uint64_t, std::uint64_t, std::span<float>);
template double length(std::span<const float>);
template void subtract_scaled(std::span<float>, float, std::span<const float>);
template void multiply(std::span<float>, float);
template class block_vectors<float>;
template void fill_normal(std::uint64_t, std::uint64_t, std::span<double>);
template double length(std::span<const double>);
template void subtract_scaled(std::span<double>, double, std::span<const double>);
template void multiply(std::span<double>, double);
template class block_vectors<double>;
#endif

}  // namespace optscope::detail
