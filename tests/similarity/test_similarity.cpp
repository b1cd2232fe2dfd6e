// SPDX-License-Identifier: MIT
// Expected numbers: tests/goldens/similarity/make_similarity_goldens.py (numpy, scikit-learn).
#include <doctest/doctest.h>

#include <cmath>
#include <cstddef>
#include <optscope/similarity/blocks.hpp>
#include <optscope/similarity/metrics.hpp>
#include <optscope/similarity/similarity.hpp>
#include <vector>

using namespace optscope;

namespace {

constexpr std::size_t texts = 10, positions = 3, width = 7;
const std::vector<std::size_t> categories{0, 0, 0, 0, 1, 1, 1, 2, 2, 2};

tensor<float, 2> vectors() {
  tensor<float, 2> x{{texts * positions, width}};
  for (std::size_t i = 0; i < x.rows(); ++i) {
    for (std::size_t j = 0; j < width; ++j) {
      const int step = static_cast<int>((i * 37 + j * 11 + i * j * 5) % 23) - 11;
      x(i, j) = static_cast<float>(step) / 8.0f + (j == 2 ? static_cast<float>(categories[i / positions]) : 0.0f);
    }
  }
  return x;
}

vector_labels labels() {
  vector_labels result{{}, categories};
  for (std::size_t i = 0; i < texts * positions; ++i) result.text.push_back(i / positions);
  return result;
}

bool near(double a, double b, double tolerance) { return std::abs(a - b) <= tolerance; }

struct distance_metric {  // a user's own, with a state that `prepare` sets
  double scale = 0;
  void prepare(tensor_view<const float, 2> all) { scale = static_cast<double>(all.rows()); }
  double operator()(std::span<const float> x, std::span<const float> y) const {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i]));
    return sum * scale;
  }
};

}  // namespace

TEST_CASE("cosine and scaled cosine agree with scikit-learn and numpy") {
  const tensor<float, 2> x = vectors();
  const auto angle = similarity<cosine>(x.view());
  CHECK(near(angle(0, 1), -0.2712403346405122, 1e-7));
  CHECK(near(angle(17, 3), -0.447213595499958, 1e-7));
  CHECK(near(angle(29, 4), -0.19882696935448685, 1e-7));
  const auto scaled = similarity<scaled_cosine>(x.view());
  CHECK(near(scaled(0, 1), -0.08305084745762713, 1e-7));
  CHECK(near(scaled(3, 17), -0.13559322033898308, 1e-7));
  CHECK(near(scaled(29, 4), -0.0440677966101695, 1e-7));
}

TEST_CASE("a matrix is symmetric, cosine has ones on the diagonal, scaled cosine reaches one only for the longest") {
  const tensor<float, 2> x = vectors();
  const auto angle = similarity<cosine>(x.view()), scaled = similarity<scaled_cosine>(x.view());
  std::size_t ones = 0;
  for (std::size_t i = 0; i < x.rows(); ++i) {
    CHECK_EQ(angle(i, i), 1.0f);
    ones += scaled(i, i) == 1.0f;
    for (std::size_t j = 0; j < i; ++j) {
      CHECK_EQ(angle(i, j), angle(j, i));
      CHECK_EQ(scaled(i, j), scaled(j, i));
    }
  }
  CHECK_EQ(ones, 1);
}

TEST_CASE("zero vectors have similarity zero, not NaN") {
  const tensor<float, 2> zeros{{3, 5}};
  const auto angle = similarity<cosine>(zeros.view()), scaled = similarity<scaled_cosine>(zeros.view());
  CHECK_EQ(angle(1, 2), 0.0f);
  CHECK_EQ(scaled(1, 1), 0.0f);
}

TEST_CASE("a user's metric sees the whole set first, then pairs, and strided views work") {
  float data[] = {1, 2, 99, 4, 6, 99};
  const tensor_view<const float, 2> x{data, {2, 2}, 3};
  const auto matrix = similarity<distance_metric>(x);
  CHECK_EQ(matrix(0, 1), 14.0f);  // (3 + 4) * 2 rows
}

TEST_CASE("block means and the exact permutation test agree with enumeration in numpy") {
  const tensor<float, 2> x = vectors();
  const auto summary = similarity_blocks(similarity<cosine>(x.view()), labels());
  CHECK(near(summary.within_text, 0.20850691439305624, 1e-6));
  CHECK(near(summary.within_category, 0.16384304333283808, 1e-6));
  CHECK(near(summary.between_categories, -0.03514028791420356, 1e-6));
  CHECK(summary.exact);
  CHECK_EQ(summary.labelings, 4200);
  CHECK(near(summary.p, 94.0 / 4200, 1e-12));
}

TEST_CASE("a random permutation test comes near the exact one and repeats itself") {
  const tensor<float, 2> x = vectors();
  const auto matrix = similarity<cosine>(x.view());
  const auto sampled = similarity_blocks(matrix, labels(), 4000);
  CHECK_FALSE(sampled.exact);
  CHECK_EQ(sampled.labelings, 4000);
  CHECK(near(sampled.p, 94.0 / 4200, 0.008));  // three standard deviations
  CHECK_EQ(sampled.p, similarity_blocks(matrix, labels(), 4000).p);
}

TEST_CASE("categories that cannot be compared give NaN and no verdict") {
  const tensor<float, 2> x = vectors();
  const auto matrix = similarity<cosine>(x.view());
  vector_labels one = labels();
  one.category.assign(texts, 0);
  const auto summary = similarity_blocks(matrix, one);
  CHECK(std::isnan(summary.between_categories));
  CHECK_EQ(summary.p, 1.0);
  CHECK_EQ(summary.labelings, 0);
}
