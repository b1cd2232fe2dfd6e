// SPDX-License-Identifier: MIT
// Directions and subspaces against numpy and scipy.
#include <doctest/doctest.h>

#include <cmath>
#include <compare.hpp>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/similarity/metrics.hpp>
#include <optscope/similarity/similarity.hpp>
#include <optscope/spectrum/directions.hpp>
#include <string>
#include <vector>

using namespace optscope;

namespace {

const tensor_table& golden() {
  static const tensor_table table =
      read_safetensors(OPTSCOPE_SOURCE_DIR "/tests/goldens/spectrum/directions.safetensors");
  return table;
}

tensor<double, 2> matrix(const std::string& name) {
  const stored_tensor& stored = golden().tensors.at(name);
  tensor<double, 2> result{{stored.shape()[0], stored.shape().size() > 1 ? stored.shape()[1] : 1}};
  stored.copy_to(result.data());
  return result;
}

void check_directions(const leading_directions& found, const std::string& name) {
  const tensor<double, 2> expected = matrix(name), shares = matrix(name + "_shares");
  check_close<double, double>(found.shares, {shares.data(), found.shares.size()}, 1e-13, name);
  for (std::size_t i = 0; i < found.rows.rows(); ++i) {
    double dot = 0;  // the sign of a singular vector is free
    for (std::size_t j = 0; j < found.rows.extent(1); ++j) dot += found.rows(i, j) * expected(i, j);
    CHECK(std::abs(std::abs(dot) - 1) <= 1e-12);
  }
}

}  // namespace

TEST_CASE("directions of vectors in hidden space and in token space, and their shares") {
  const tensor<double, 2> vectors = matrix("vectors");  // 6 tokens, 5 wide
  const leading_directions hidden = hidden_directions(vectors.view(), 6, 3);
  CHECK(hidden.rows.shape() == std::array<std::size_t, 2>{3, 5});
  check_directions(hidden, "hidden");
  const leading_directions token = token_directions(vectors.view(), 6, 99);
  CHECK(token.rows.shape() == std::array<std::size_t, 2>{6, 6});
  check_directions(token, "token");
}

TEST_CASE("a product of a token and a hidden direction is found as such") {
  tensor<float, 2> vector{{1, 12}};
  for (std::size_t t = 0; t < 3; ++t) {
    for (std::size_t j = 0; j < 4; ++j) vector(0, t * 4 + j) = static_cast<float>((t + 1) * (j == 2 ? 2 : 0));
  }
  const leading_directions hidden = hidden_directions(std::as_const(vector).view(), 3, 9),
                           token = token_directions(std::as_const(vector).view(), 3, 9);
  REQUIRE(hidden.shares.size() == 1);  // the others are rounding
  CHECK(std::abs(hidden.rows(0, 2)) == doctest::Approx(1));
  REQUIRE(token.shares.size() == 1);
  CHECK(token.rows(0, 2) / token.rows(0, 0) == doctest::Approx(3));
}

TEST_CASE("principal angles agree with scipy, the smallest too") {
  const tensor<double, 2> a = matrix("a"), b = matrix("b"), expected = matrix("angles");
  CHECK(expected(0, 0) < 1e-8);
  CHECK(expected(0, 0) > 1e-10);
  const std::vector<double> angles = principal_angles(a, b);
  REQUIRE(angles.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) CHECK(std::abs(angles[i] - expected(i, 0)) <= 1e-14);
  CHECK(principal_angles(b, a).size() == 3);
  double sum = 0;
  for (const double angle : angles) sum += std::cos(angle) * std::cos(angle) / 3;
  CHECK(std::abs(overlap(b, a) - sum) <= 1e-14);
  CHECK(std::abs(overlap(a, a) - 1) <= 1e-14);
}

TEST_CASE("a subspace counts its dimensions, not its rows") {
  tensor<double, 2> a{{3, 4}}, b{{2, 4}};
  a(0, 0) = a(1, 0) = 1;  // twice the same
  a(2, 1) = 5;
  b(0, 1) = 2;
  b(1, 3) = 1;
  const std::vector<double> angles = principal_angles(a, b);
  REQUIRE(angles.size() == 2);
  CHECK(std::abs(angles[0]) <= 1e-15);
  CHECK(std::abs(angles[1] - M_PI / 2) <= 1e-15);
  CHECK(principal_angles(tensor<double, 2>{{1, 4}}, b).empty());  // only zeros span nothing
}

TEST_CASE("shares of activations in a subspace; directions go to the similarity metric") {
  tensor<double, 2> directions{{2, 3}};
  directions(0, 0) = directions(1, 1) = 1;
  tensor<float, 2> x{{3, 3}};
  x(0, 0) = 3;
  x(0, 2) = 4;
  x(1, 1) = 2;
  const std::vector<double> shares = share_in(directions.view(), std::as_const(x).view());
  CHECK(shares[0] == doctest::Approx(9.0 / 25));
  CHECK(shares[1] == 1);
  CHECK(shares[2] == 0);
  const tensor<float, 2> floats = rounded<float>(directions);
  const tensor<float, 2> matrix = similarity<cosine>(std::as_const(floats).view());
  CHECK(matrix(0, 0) == 1);
  CHECK(matrix(0, 1) == 0);
}
