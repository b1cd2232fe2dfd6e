// SPDX-License-Identifier: MIT
#pragma once
// Numbers for the tests of backends.

#include <cstddef>
#include <span>
#include <vector>

template <class T>
std::vector<T> numbers(std::size_t n, std::size_t seed) {
  std::vector<T> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = static_cast<T>(static_cast<double>((i * 7919 + seed * 104729) % 2003) / 1001.0 - 1);
  }
  return values;
}

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;

template <class T>
std::span<const T> all(const std::vector<T>& v) {
  return v;
}
