// SPDX-License-Identifier: MIT
// Expected numbers: tests/goldens/similarity/make_similarity_goldens.py (numpy, scikit-learn).
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optscope/core/errors.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/similarity/blocks.hpp>
#include <optscope/similarity/by_layer.hpp>
#include <optscope/similarity/cka.hpp>
#include <optscope/similarity/metrics.hpp>
#include <optscope/similarity/named_metrics.hpp>
#include <optscope/similarity/set_metrics.hpp>
#include <optscope/similarity/similarity.hpp>
#include <random>
#include <span>
#include <type_traits>
#include <utility>
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

struct distance_metric {  // a custom metric, with a state that `prepare` sets
  double scale = 0;
  void prepare(tensor_view<const float, 2> all) { scale = static_cast<double>(all.rows()); }
  double operator()(std::span<const float> x, std::span<const float> y) const {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += std::abs(static_cast<double>(x[i]) - static_cast<double>(y[i]));
    return sum * scale;
  }
};

/// Exactly the members of a metric, of doubles; not symmetric, and it says nothing about that.
struct first_minus_last {
  int* calls;
  double operator()(std::span<const double> x, std::span<const double> y) const {
    ++*calls;
    return x.front() - y.back();
  }
};
static_assert(metric<first_minus_last, double> && !metric<first_minus_last, float>);

/// Exactly the members of a metric of sets, without `prepare`; not symmetric.
struct more_vectors {
  double operator()(tensor_view<const float, 2> x, tensor_view<const float, 2> y) const {
    return static_cast<double>(x.rows()) - 0.5 * static_cast<double>(y.rows());
  }
};
/// The same with one: what it compares is a type that no tensor converts to.
struct mean_width {
  static constexpr bool symmetric = true;
  struct width {
    double value;
  };
  int* prepared;
  width prepare(tensor_view<const float, 2> set) const {
    ++*prepared;
    return {static_cast<double>(set.cols())};
  }
  double operator()(const width& x, const width& y) const { return (x.value + y.value) / 2; }
};
static_assert(set_metric<more_vectors> && set_metric<mean_width> && !set_metric<more_vectors, double>);
static_assert(!set_metric<cosine> && !metric<cka>);
static_assert(std::is_same_v<prepared_set<more_vectors, float>, tensor_view<const float, 2>>);

/// CKA by its other formula, over features: |YᵀX|² / (|XᵀX| |YᵀY|) of centred columns.
double cka_of_features(tensor_view<const float, 2> x, tensor_view<const float, 2> y) {
  const auto centred = [](tensor_view<const float, 2> set) {
    std::vector<std::vector<double>> columns(set.cols());
    for (std::size_t j = 0; j < set.cols(); ++j) {
      double sum = 0;
      for (std::size_t i = 0; i < set.rows(); ++i) sum += static_cast<double>(set(i, j));
      for (std::size_t i = 0; i < set.rows(); ++i) {
        columns[j].push_back(static_cast<double>(set(i, j)) - sum / static_cast<double>(set.rows()));
      }
    }
    return columns;
  };
  const auto squares = [](const auto& a, const auto& b) {
    double sum = 0;
    for (const auto& p : a) {
      for (const auto& q : b) {
        double product = 0;
        for (std::size_t i = 0; i < p.size(); ++i) product += p[i] * q[i];
        sum += product * product;
      }
    }
    return sum;
  };
  const auto a = centred(x), b = centred(y);
  return squares(a, b) / std::sqrt(squares(a, a) * squares(b, b));
}

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

TEST_CASE("a custom metric sees the whole set first, then pairs; strided views work") {
  float data[] = {1, 2, 99, 4, 6, 99};
  const tensor_view<const float, 2> x{data, {2, 2}, 3};
  const auto matrix = similarity<distance_metric>(x);
  CHECK_EQ(matrix(0, 1), 14.0f);  // (3 + 4) * 2 rows
}

TEST_CASE("a metric that does not say that it is symmetric is computed both ways, and doubles stay doubles") {
  const tensor<float, 2> floats = vectors();
  tensor<double, 2> x{floats.shape()};
  for (std::size_t i = 0; i < x.size(); ++i) x.data()[i] = static_cast<double>(floats.data()[i]) / 3;
  int calls = 0;
  const auto matrix = similarity(x, first_minus_last{&calls});
  static_assert(std::is_same_v<decltype(matrix), const tensor<double, 2>>);
  CHECK_EQ(calls, 30 * 30);
  CHECK_EQ(matrix(3, 8), x(3, 0) - x(8, width - 1));
  CHECK_EQ(matrix(8, 3), x(8, 0) - x(3, width - 1));
  const auto angle = similarity<cosine>(x);
  CHECK(near(angle(17, 3), -0.447213595499958, 1e-14));
  static_assert(std::is_same_v<decltype(similarity<cosine>(floats)), tensor<float, 2>>);
}

TEST_CASE("tensors, views, xtensor containers, their views and expressions give the same matrix") {
  const tensor<float, 2> x = vectors();
  const auto expected = similarity<scaled_cosine>(x);
  const xt::xtensor<float, 2> container = x;
  const xt::xtensor<float, 2, xt::layout_type::column_major> columns = container;
  const auto same = [&](const tensor<float, 2>& found) {
    return std::ranges::equal(std::span{found.data(), found.size()}, std::span{expected.data(), expected.size()});
  };
  CHECK(same(similarity<scaled_cosine>(x.view())));
  CHECK(same(similarity<scaled_cosine>(container)));
  CHECK(same(similarity<scaled_cosine>(columns)));
  CHECK(same(similarity<scaled_cosine>(adapt(x))));
  CHECK(same(similarity<scaled_cosine>(container * 2.0f - container)));
}

TEST_CASE("CKA is that of the formula over features, 1 under shift, rotation and factor, and 0 without variance") {
  const tensor<float, 2> x = vectors();
  tensor<float, 2> y{{x.rows(), 4}}, turned{x.shape()};
  for (std::size_t i = 0; i < x.rows(); ++i) {
    for (std::size_t j = 0; j < 4; ++j) y(i, j) = x(i, j) * x(i, j + 2) + static_cast<float>(i % 3);
    for (std::size_t j = 0; j < width; ++j) turned(i, j) = 4 - 2 * x(i, j);
    turned(i, 0) = 2 * (0.6f * x(i, 0) - 0.8f * x(i, 1)) + 1;
    turned(i, 1) = 2 * (0.8f * x(i, 0) + 0.6f * x(i, 1));
  }
  const std::vector<tensor_view<const float, 2>> sets{x, y, turned};
  const auto matrix = similarity<cka>(sets);
  CHECK_EQ(matrix.shape(), std::array<std::size_t, 2>{3, 3});
  CHECK(near(matrix(0, 1), cka_of_features(x, y), 1e-6));
  CHECK(near(matrix(1, 0), matrix(0, 1), 0));
  CHECK(matrix(0, 1) < 0.9f);
  CHECK(near(matrix(0, 0), 1, 1e-6));
  CHECK(near(matrix(0, 2), 1, 1e-6));
  CHECK(near(matrix(1, 2), matrix(0, 1), 1e-6));
  const tensor<float, 2> equal{{x.rows(), 3}}, fewer{{4, 3}};
  CHECK_EQ(cka{}(x.view(), equal.view()), 0.0);
  CHECK_THROWS_WITH_AS(static_cast<void>(similarity<cka>(std::vector<tensor<float, 2>>{x, fewer})),
                       "cka: expected sets with equally many vectors, found 30 and 4", bad_input);
}

TEST_CASE("a custom metric of sets takes sets of any kind, prepares each once, and is not mirrored unless it says so") {
  const std::vector<xt::xtensor<float, 2>> sets{xt::zeros<float>({4, 2}), xt::zeros<float>({3, 6})};
  const auto counts = similarity<more_vectors>(sets);
  CHECK_EQ(counts(0, 1), 2.5f);
  CHECK_EQ(counts(1, 0), 1.0f);
  int prepared = 0;
  CHECK_EQ(similarity(sets, mean_width{&prepared})(1, 0), 4.0f);
  CHECK_EQ(prepared, 2);
}

TEST_CASE("block means and the exact permutation test agree with enumeration in numpy") {
  const tensor<float, 2> x = vectors();
  const auto summary = similarity_blocks(similarity<cosine>(x.view()), labels());
  CHECK(near(summary.within_text, 0.20850691439305624, 1e-6));
  CHECK(near(summary.within_category, 0.16384304333283808, 1e-6));
  CHECK(near(summary.between_categories, -0.03514028791420356, 1e-6));
  CHECK(summary.test.exact);
  CHECK_EQ(summary.test.labelings, 4200);
  CHECK(near(summary.test.p, 94.0 / 4200, 1e-12));
}

TEST_CASE("a random permutation test comes near the exact one and repeats itself") {
  const tensor<float, 2> x = vectors();
  const auto matrix = similarity<cosine>(x.view());
  const auto sampled = similarity_blocks(matrix, labels(), 4000);
  CHECK_FALSE(sampled.test.exact);
  CHECK_EQ(sampled.test.labelings, 4000);
  CHECK(near(sampled.test.p, 94.0 / 4200, 0.008));  // three standard deviations
  CHECK_EQ(sampled.test.p, similarity_blocks(matrix, labels(), 4000).test.p);
}

TEST_CASE("categories that cannot be compared give NaN and no p") {
  const tensor<float, 2> x = vectors();
  const auto matrix = similarity<cosine>(x.view());
  vector_labels one = labels();
  one.category.assign(texts, 0);
  const auto summary = similarity_blocks(matrix, one);
  CHECK(std::isnan(summary.between_categories));
  CHECK_EQ(summary.test.p, 1.0);
  CHECK_EQ(summary.test.labelings, 0);
}

TEST_CASE("similarities by layer are the matrices of each layer, of the last vectors of texts, and their blocks") {
  const tensor<float, 2> x = vectors();
  tensor<float, 2> y = x;
  for (std::size_t i = 0; i < y.size(); ++i) y.data()[i] *= static_cast<float>(i % 5);
  thread_pool pool{2};
  const layer_similarities found = similarities_by_layer({x, y}, labels(), similarity_under<cosine>(), pool);
  CHECK_EQ(found.all.shape(), std::array<std::size_t, 3>{2, texts * positions, texts * positions});
  CHECK_EQ(found.last.shape(), std::array<std::size_t, 3>{2, texts, texts});
  const auto second = similarity<cosine>(y);
  CHECK(std::ranges::equal(found.all.row(1), std::span{second.data(), second.size()}));
  CHECK_EQ(found.last(1, 4, 7), second(4 * positions + 2, 7 * positions + 2));
  const std::vector<block_summary> blocks = similarity_blocks(found.of_texts, categories);
  REQUIRE_EQ(blocks.size(), 2);
  CHECK_EQ(blocks[1].test.p, similarity_blocks(second, labels()).test.p);
  CHECK(near(blocks[0].test.p, 94.0 / 4200, 1e-12));
  for (const block_summary& each : blocks) CHECK(each.test.p_over_all >= each.test.p);
}

TEST_CASE("the smallest p that a few texts allow is said, and reached by categories that are apart") {
  for (const auto& [category, smallest] : {std::pair{std::vector<std::size_t>{0, 0, 1, 1}, 2.0 / 6},
                                           {std::vector<std::size_t>{0, 0, 0, 1, 1}, 1.0 / 10},
                                           {categories, 2.0 / 4200},
                                           {std::vector<std::size_t>{0, 0, 1, 1, 2, 2}, 6.0 / 90}}) {
    tensor<double, 2> apart{{category.size(), category.size()}};
    for (std::size_t i = 0; i < category.size(); ++i) {
      for (std::size_t j = 0; j < category.size(); ++j) apart(i, j) = category[i] == category[j] ? 1 : 0;
    }
    const label_test test = similarity_blocks({apart}, category)[0].test;
    CHECK(near(test.smallest_p, smallest, 1e-12));
    CHECK(near(test.p, smallest, 1e-12));
    CHECK(near(test.p_over_all, smallest, 1e-12));
  }
}

namespace {

/// Vectors (vector, width) of texts with three positions each, around the same mean; `spread` [category].
tensor<float, 2> around_one_mean(const std::vector<std::size_t>& category, const std::vector<double>& spread,
                                 std::size_t width_of, std::mt19937_64& bits) {
  std::normal_distribution<double> normal;
  tensor<float, 2> x{{category.size() * positions, width_of}};
  for (std::size_t t = 0; t < category.size(); ++t) {
    for (std::size_t j = 0; j < width_of; ++j) {
      const double own = spread[category[t]] * normal(bits);
      for (std::size_t p = 0; p < positions; ++p) {
        x(t * positions + p, j) = static_cast<float>(1 + own + 0.3 * normal(bits));
      }
    }
  }
  return x;
}

vector_labels labels_of(const std::vector<std::size_t>& category) {
  vector_labels result{{}, category};
  for (std::size_t i = 0; i < category.size() * positions; ++i) result.text.push_back(i / positions);
  return result;
}

}  // namespace

TEST_CASE("of many layers without differences, p over all of them is small in 5 % of the studies; p is in more" *
          doctest::test_suite("long")) {
  std::mt19937_64 bits{12};
  const vector_labels where = labels_of(categories);
  std::size_t alone = 0, over_all = 0;
  constexpr std::size_t studies = 300, layers = 32;
  for (std::size_t study = 0; study < studies; ++study) {
    std::vector<tensor<double, 2>> matrices;
    for (std::size_t layer = 0; layer < layers; ++layer) {
      matrices.push_back(
          similarity_of_texts(similarity<cosine>(around_one_mean(categories, {1, 1, 1}, 4, bits)), where));
    }
    const auto blocks = similarity_blocks(matrices, categories, 200);
    alone += std::ranges::any_of(blocks, [](const auto& each) { return each.test.p <= 0.05; });
    over_all += std::ranges::any_of(blocks, [](const auto& each) { return each.test.p_over_all <= 0.05; });
    for (const auto& each : blocks) CHECK_EQ(each.test.p_over_all <= 0.05, each.test.score > each.test.level);
  }
  CHECK(alone > studies / 2);
  CHECK(over_all <= 28);  // of 300 expected 15; 0.1 % beyond
}

TEST_CASE("categories of one mean and different spread: blocks are found, other means are not; real ones are" *
          doctest::test_suite("long")) {
  std::mt19937_64 bits{13};
  const std::vector<std::size_t> two{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1},
      uneven{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1};
  for (const auto* category : {&two, &uneven}) {
    const vector_labels where = labels_of(*category);
    std::size_t blocks = 0, means = 0, apart = 0;
    constexpr std::size_t runs = 100;
    for (std::size_t run = 0; run < runs; ++run) {
      tensor<float, 2> x = around_one_mean(*category, {0.5, 2}, 30, bits);
      const block_summary found = similarity_blocks(similarity<cosine>(x), where, 200);
      blocks += found.test.p <= 0.05 && found.within_each[0] > found.within_each[1];
      means += test_of_means({std::as_const(x).view()}, where, 200)[0].p <= 0.05;
      for (std::size_t i = 0; i < x.rows(); ++i) {
        for (std::size_t j = 0; j < 30; ++j) x(i, j) += (*category)[i / positions] == 1 ? 1.0f : 0.0f;
      }
      apart += test_of_means({std::as_const(x).view()}, where, 200)[0].p <= 0.05;
    }
    CHECK(blocks >= 90);
    CHECK(means <= 13);  // expected 5
    CHECK(apart >= 80);
  }
  CHECK_EQ(test_of_means({}, labels()).size(), 0);
  const tensor<float, 2> x = vectors();
  vector_labels one = labels();
  one.category.assign(texts, 0);
  CHECK_EQ(test_of_means({x.view()}, one)[0].labelings, 0);
}

TEST_CASE(
    "planted categories are found under every metric of pairs, with their effect and an interval; distances too") {
  std::mt19937_64 bits{14};
  tensor<float, 2> x = around_one_mean(categories, {1, 1, 1}, 30, bits);
  for (std::size_t i = 0; i < x.rows(); ++i) {
    for (std::size_t j = 0; j < 30; ++j) x(i, j) += j / 10 == categories[i / positions] ? 3.0f : 0.0f;
  }
  std::vector<tensor<double, 2>> matrices;
  std::vector<bool> distance;
  for (const named_metric& each : pair_metrics()) {
    matrices.push_back(similarity_of_texts(each.measure(x), labels_of(categories)));
    distance.push_back(each.distance);
  }
  CHECK_EQ(std::ranges::count(distance, true), 1);
  for (const block_summary& found : similarity_blocks(matrices, categories, 20'000, 1, distance)) {
    CHECK(near(found.test.p, 2.0 / 4200, 1e-12));
    CHECK(found.test.p_over_all <= 3.0 / 4200);
    CHECK(near(found.test.p_holm, 7 * 2.0 / 4200, 1e-12));
    CHECK(found.effect > 0.95);
    if (found.effect == 1) continue;  // without an interval
    CHECK((0.5 < found.effect_low && found.effect_low <= found.effect && found.effect <= found.effect_high));
  }
}

TEST_CASE("the effect is how often a pair of one category is more alike, its interval the jackknife over texts") {
  const std::vector<std::size_t> category{0, 0, 0, 1, 1, 1};
  tensor<double, 2> means{{6, 6}};
  for (std::size_t i = 0; i < 6; ++i) {
    for (std::size_t j = 0; j < 6; ++j) means(i, j) = static_cast<double>((i + j) % 5 + (category[i] == category[j]));
  }
  const block_summary found = similarity_blocks({means}, category)[0];
  // (pairs ranked in numpy: mean of [w > b] + [w == b] / 2; jackknife with Student's 2.5706 for five degrees of
  // freedom)
  CHECK(near(found.effect, 0.8055555555555556, 1e-12));
  CHECK(near(found.effect_low, 0.24104906163421236, 2e-3));
  CHECK_EQ(found.effect_high, 1.0);  // 1.37, cut
  tensor<double, 2> apart{{6, 6}};
  for (std::size_t i = 0; i < 36; ++i) apart.data()[i] = category[i / 6] == category[i % 6] ? 1 : 0;
  CHECK(std::isnan(similarity_blocks({apart}, category)[0].effect_low));  // as if other texts could not differ
  // two texts of one category: without one of them no pair is left
  const block_summary few = similarity_blocks({means}, {0, 0, 1, 2, 3, 4})[0];
  CHECK(std::isnan(few.effect_low));
  CHECK_FALSE(std::isnan(few.effect));
}

TEST_CASE("without categories p is uniform over 200 draws, whatever the metric" * doctest::test_suite("long")) {
  std::mt19937_64 bits{15};
  const vector_labels where = labels_of(categories);
  for (const char* name : {"centred_cosine", "whitened_cosine", "euclidean"}) {
    const std::vector<named_metric> all = pair_metrics();
    const named_metric& metric = by_name(all, name);
    std::vector<double> p;
    std::size_t covered = 0;
    for (std::size_t draw = 0; draw < 200; ++draw) {
      const auto matrix = metric.measure(around_one_mean(categories, {1, 1, 1}, 12, bits));
      const block_summary found =
          similarity_blocks({similarity_of_texts(matrix, where)}, categories, 500, draw, {metric.distance})[0];
      p.push_back(found.test.p);
      covered += found.effect_low <= 0.5 && 0.5 <= found.effect_high;
    }
    std::ranges::sort(p);
    double furthest = 0;  // Kolmogorov and Smirnov
    for (std::size_t i = 0; i < p.size(); ++i) {
      furthest = std::max(
          {furthest, std::abs(p[i] - static_cast<double>(i) / 200), std::abs(p[i] - static_cast<double>(i + 1) / 200)});
    }
    CAPTURE(name);
    CHECK(furthest < 0.115);  // 1 % beyond
    CHECK(covered >= 170);    // of 190 expected
  }
}
