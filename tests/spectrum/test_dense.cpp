// SPDX-License-Identifier: MIT
// Dense analysers against matrices of known spectrum and against LAPACK's dgesdd.
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <compare.hpp>
#include <limits>
#include <numeric>
#include <optscope/spectrum/exact.hpp>
#include <optscope/spectrum/gram.hpp>
#include <spectrum/known_spectrum.hpp>

using namespace optscope;

namespace {

struct test_case {
  std::string name;
  std::size_t rows, cols;
  std::vector<double> values;
};

std::vector<test_case> cases() {
  std::vector<double> gap = log_uniform(150, 1, 0.1), clusters;
  for (const double value : log_uniform(100, 1e-6, 1e-9)) gap.push_back(value);
  for (int i = 0; i < 300; ++i) clusters.push_back(std::pow(10.0, -(i / 100)) * (1 + 1e-13 * (i % 100)));
  std::sort(clusters.begin(), clusters.end(), std::greater<>{});
  std::vector<double> half = log_uniform(100, 3, 0.3);
  half.resize(201);
  return {{"one number", 1, 1, {-3}},
          {"two", 2, 2, {5, 1e-3}},
          {"smaller than a band", 17, 17, log_uniform(17, 1, 1e-12)},
          {"63", 63, 63, log_uniform(63, 1e3, 1)},
          {"64", 64, 64, log_uniform(64, 1e3, 1)},
          {"65", 65, 65, log_uniform(65, 1e3, 1)},
          {"129", 129, 129, log_uniform(129, 1, 1e-14)},
          {"gap", 250, 250, gap},
          {"clusters", 300, 300, clusters},
          {"half zeros", 201, 201, half},
          {"rank one", 130, 130, {7}},
          {"all zeros", 100, 100, {}},
          {"wide", 70, 301, log_uniform(70, 1, 1e-5)},
          {"high", 301, 70, log_uniform(70, 1, 1e-5)},
          {"one row", 1, 100, {2}},
          {"one column", 100, 1, {2}},
          {"large", 90, 90, log_uniform(90, 1e300, 1e290)},
          {"small", 90, 90, log_uniform(90, 1e-290, 1e-300)},
          {"denormal", 90, 90, log_uniform(90, 1e-308, 1e-318)}};
}

std::vector<double> with_zeros(std::vector<double> values, std::size_t size) {
  for (double& value : values) value = std::abs(value);
  values.resize(size);
  return values;
}

template <class Analyser>
void check_values(const Analyser& analyser, const test_case& at, double tolerance) {
  const tensor<double, 2> matrix = matrix_with(at.rows, at.cols, at.values);
  matrix_operator<double> op{matrix};
  const spectrum found = analyser(op);
  CHECK(found.outcome == spectrum_outcome::complete);
  CHECK(found.all_values());
  CHECK(std::is_sorted(found.values.rbegin(), found.values.rend()));
  // Denormal numbers have fewer digits: what counts there is LAPACK's answer for the matrix as stored.
  const bool exact_matrix = at.name != "denormal";
  const std::vector<double> expected =
      exact_matrix ? with_zeros(at.values, std::min(at.rows, at.cols)) : lapack_values(matrix);
  check_close(std::span<const double>{found.values}, std::span<const double>{expected}, tolerance,
              found.method + ", " + at.name);
}

}  // namespace

TEST_CASE("exact finds known singular values to 1e-14 of the largest") {
  for (const test_case& at : cases()) check_values(exact{}, at, 1e-14);
}

TEST_CASE("gram finds known singular values to its floor") {
  for (const test_case& at : cases()) check_values(gram{}, at, 3e-8);
}

TEST_CASE("exact agrees with dgesdd on random matrices") {
  std::mt19937 random{5};
  std::normal_distribution<double> normal;
  for (const std::size_t n : {1, 2, 63, 64, 100, 128, 191, 333}) {
    tensor<double, 2> matrix{{n, n + n % 3}};
    for (std::size_t i = 0; i < matrix.size(); ++i) matrix.data()[i] = normal(random);
    matrix_operator<double> op{matrix};
    const spectrum found = exact{}(op);
    const std::vector<double> expected = lapack_values(matrix);
    check_close(std::span<const double>{found.values}, std::span<const double>{expected}, 1e-14, std::to_string(n));
  }
}
