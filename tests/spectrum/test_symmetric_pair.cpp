// SPDX-License-Identifier: MIT
// Expected numbers: tests/goldens/spectrum/make_pair_goldens.py (scipy).
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optscope/spectrum/products.hpp>
#include <optscope/spectrum/symmetric_pair.hpp>
#include <vector>

#include "compare.hpp"

using namespace optscope;

TEST_CASE("eigenvectors of a pair agree with scipy's eigh") {
  const std::array<double, 16> a{2, 99, 99, 99, 1, 3, 99, 99, 0.5, 0, 1, 99, 0, -1, 0.25, 4};  // lower triangles alone
  const std::array<double, 16> b{3, 99, 99, 99, 0.5, 2, 99, 99, 0, 0.25, 1, 99, 1, 0, -0.5, 2};
  const pair_vectors found = eigenvectors_of_pair({a.data(), {4, 4}}, {b.data(), {4, 4}});
  const std::vector<double> values{3.645739141, 1.2227417214, 1.105122723, 0.3914757797};
  check_close(std::span<const double>{found.values}, std::span<const double>{values}, 1e-9, "values");
  std::vector<double> vectors{-0.2489042455, -0.2640111346, 0.6371057616,  0.757133427,  -0.0188896238, -0.6154030547,
                              -0.2501639797, -0.2721207576, -0.3821839355, 0.2574009212, -0.7229520544, 0.2320173757,
                              0.4692512404,  -0.1581281331, -0.4639005982, 0.072224724};
  for (std::size_t i = 0; i < 4; ++i) {  // up to their signs
    if ((found.rows(i, 0) < 0) == (vectors[4 * i] < 0)) continue;
    for (std::size_t j = 0; j < 4; ++j) vectors[4 * i + j] *= -1;
  }
  check_close(std::span<const double>{found.rows.data(), 16}, std::span<const double>{vectors}, 1e-9, "vectors");
}

TEST_CASE("A v = λ B v and vᵀ B v = 1 for all vectors of a large pair; one that is not positive is refused") {
  constexpr std::size_t n = 130;
  tensor<double, 2> a{{n, n}}, b{{n, n}}, av{{n, n}}, bv{{n, n}}, unit{{n, n}};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      a(i, j) = std::cos(static_cast<double>(i * j % 17)) + std::cos(static_cast<double>(i + j));
      b(i, j) = (i == j ? 40.0 : 0.0) + std::sin(static_cast<double>(i + 1)) * std::sin(static_cast<double>(j + 1));
    }
  }
  const pair_vectors found = eigenvectors_of_pair(a, b);
  CHECK(std::is_sorted(found.values.rbegin(), found.values.rend()));
  product::ab<double>(found.rows, a, av.view());
  product::ab<double>(found.rows, b, bv.view());
  product::abt<double>(bv, found.rows, unit.view());
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      CHECK(std::abs(av(i, j) - found.values[i] * bv(i, j)) < 1e-11);
      CHECK(std::abs(unit(i, j) - (i == j ? 1 : 0)) < 1e-12);
    }
  }
  b(7, 7) = -1;
  CHECK_THROWS_WITH_AS(static_cast<void>(eigenvectors_of_pair(a, b)),
                       "eigenvectors_of_pair: the second matrix, 130 x 130, is not positive definite", error);
  CHECK(eigenvectors_of_pair({}, {}).values.empty());
}
