// SPDX-License-Identifier: MIT
// Expected numbers: tests/goldens/similarity/make_similarity_goldens.py (numpy, scipy, scikit-learn).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <numbers>
#include <optscope/core/errors.hpp>
#include <optscope/similarity/cka.hpp>
#include <optscope/similarity/cosines.hpp>
#include <optscope/similarity/distances.hpp>
#include <optscope/similarity/low_rank.hpp>
#include <optscope/similarity/points.hpp>
#include <optscope/similarity/similarity.hpp>
#include <optscope/similarity/subspaces.hpp>
#include <optscope/similarity/without.hpp>
#include <random>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using namespace optscope;

namespace {

template <class T, class Value>
tensor<T, 2> made(std::size_t rows, std::size_t cols, Value&& value) {
  tensor<T, 2> x{{rows, cols}};
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < cols; ++j) x(i, j) = static_cast<T>(value(static_cast<int>(i), static_cast<int>(j)));
  }
  return x;
}

/// 30 vectors of 7 numbers; 6 of 9 and 6 of 8, fewer than dimensions. All are multiples of 1/8: the same in float.
template <class T>
tensor<T, 2> vectors() {
  return made<T>(30, 7, [](int i, int j) {
    return ((i * 37 + j * 11 + i * j * 5) % 23 - 11) / 8.0 + (j == 2 ? (i < 12 ? 0 : i < 21 ? 1 : 2) : 0);
  });
}
template <class T>
tensor<T, 2> wide() {
  return made<T>(6, 9, [](int i, int j) { return ((i * 29 + j * 17 + i * j * 3) % 19 - 9) / 4.0; });
}
template <class T>
tensor<T, 2> other() {
  return made<T>(6, 8, [](int i, int j) { return ((i * 13 + j * 7 + i * i * j) % 17 - 8) / 4.0; });
}
template <class T>
tensor<T, 2> products() {
  const tensor<T, 2> x = vectors<T>();
  return made<T>(30, 4, [&](int i, int j) { return x(i, j) * x(i, j + 2) + static_cast<T>(i % 3); });
}
template <class T>
tensor<T, 2> stretched() {
  const tensor<T, 2> x = vectors<T>();
  return made<T>(30, 7, [&](int i, int j) { return x(i, j) * static_cast<T>((1 + j) * (1 + j)); });
}

/// Elements of a matrix: row, column, value.
struct element {
  std::size_t row, column;
  double value;
};
template <class T>
void check(const tensor<T, 2>& matrix, const std::vector<element>& expected) {
  for (const element& each : expected) {
    CAPTURE(each.row);
    CHECK(std::abs(static_cast<double>(matrix(each.row, each.column)) - each.value) <=
          (std::is_same_v<T, double> ? 1e-12 : 1e-5) * std::max(1.0, std::abs(each.value)));
  }
  for (std::size_t i = 0; i < matrix.rows(); ++i) {
    for (std::size_t j = 0; j < i; ++j) CHECK_EQ(matrix(i, j), matrix(j, i));
  }
}

template <class Metric>
void check_pairs(const std::vector<element>& of_many, const std::vector<element>& of_few) {
  check(similarity<Metric>(vectors<float>()), of_many);
  check(similarity<Metric>(vectors<double>()), of_many);
  check(similarity<Metric>(wide<float>()), of_few);
  check(similarity<Metric>(wide<double>()), of_few);
}

template <class Metric>
void check_sets(double of_many, double of_few, const Metric& many = {}, const Metric& few = {}) {
  const double self = is_distance<Metric> ? 0 : 1;
  check(similarity(std::vector{vectors<float>(), products<float>()}, many), {{0, 1, of_many}});
  check(similarity(std::vector{vectors<double>(), products<double>()}, many), {{0, 1, of_many}, {0, 0, self}});
  check(similarity(std::vector{wide<float>(), other<float>()}, few), {{0, 1, of_few}});
  check(similarity(std::vector{wide<double>(), other<double>()}, few), {{0, 1, of_few}, {1, 1, self}});
}

}  // namespace

TEST_CASE("metrics of pairs agree with scikit-learn and numpy, in float and double, with few vectors and many") {
  check_pairs<centred_cosine>({{17, 3, -0.3735777003280385}, {29, 4, -0.13911946918261578}},
                              {{4, 1, -0.18303249961047263}, {5, 2, -0.12636052015518073}});
  check_pairs<pca_cosine>({{17, 3, -0.32593741890467226}, {29, 4, -0.13444061990060024}},
                          {{4, 1, -0.172850569441945}, {5, 2, -0.08021853571261736}});
  check_pairs<euclidean>({{17, 3, 4.031128874149275}, {29, 4, 3.142451272494134}},
                         {{4, 1, 5.678908345800274}, {5, 2, 5.678908345800274}});
  check_pairs<rbf>({{17, 3, 0.4792647493449066}, {29, 4, 0.639570141872714}},
                   {{4, 1, 0.5900149744603432}, {5, 2, 0.5900149744603432}});
  check(similarity<whitened_cosine>(wide<double>()), {{4, 1, -0.18303249961047258}});  // shrunk to the identity
}

TEST_CASE("whitened cosine shrinks as scikit-learn's OAS does, by the set's own covariance or a running one") {
  check(similarity<whitened_cosine>(stretched<double>()), {{17, 3, -0.22717557055132176}});
  check(similarity<whitened_cosine>(stretched<float>()), {{17, 3, -0.22717557055132176}});
  const tensor<double, 2> x = stretched<double>();
  std::vector<double> mean(7);
  tensor<double, 2> covariance{{7, 7}};
  for (std::size_t i = 0; i < 30; ++i) {
    for (std::size_t j = 0; j < 7; ++j) mean[j] += x(i, j) / 30;
  }
  for (std::size_t i = 0; i < 30; ++i) {
    for (std::size_t j = 0; j < 7; ++j) {
      for (std::size_t k = 0; k < 7; ++k) covariance(j, k) += (x(i, j) - mean[j]) * (x(i, k) - mean[k]) / 30;
    }
  }
  const whitened_cosine running{mean, covariance, 30};
  check(similarity(x.view().slice(0, 12), running), {{5, 3, 0.25918920844092486}, {11, 4, 0.21977435707912982}});
  CHECK_THROWS_WITH_AS(static_cast<void>(similarity(wide<double>(), running)),
                       "whitened_cosine: expected vectors as wide as the covariance, 7, found 9", bad_input);
}

TEST_CASE("metrics of sets agree with numpy and scipy, in float and double, with few vectors and many") {
  check_sets<cka>(0.20502274920032318, 0.7004238788757897);
  check_sets<cka_debiased>(0.04015874094694534, 0.04680420461756514);
  check_sets<procrustes>(0.4096854678307199, 0.8737089651550176);
  check_sets<svcca>(0.601442815953081, 0.9999999999999998);
  check_sets(1.1294157380697658, 1.0373827564159457, subspace_angles{3}, subspace_angles{2});
}

TEST_CASE("many vectors and many sets: CKA over blocks of Gram matrices is CKA over features") {
  std::mt19937_64 bits{3};
  std::normal_distribution<double> normal;
  std::vector<tensor<double, 2>> sets;
  for (int set = 0; set < 40; ++set) sets.push_back(made<double>(300, 9, [&](int, int) { return normal(bits); }));
  const auto few = similarity<cka>(std::vector{sets[0], sets[1]}), many = similarity<cka>(sets);
  CHECK(std::abs(few(0, 1) - many(0, 1)) <= 1e-13);
  CHECK(std::abs(similarity<cka_debiased>(std::vector{sets[0], sets[1]})(0, 1) -
                 similarity<cka_debiased>(sets)(0, 1)) <= 1e-12);
}

TEST_CASE("sets with nothing in common: debiased CKA is 0 on average with fewer vectors than dimensions; CKA is not") {
  std::mt19937_64 bits{4};
  std::normal_distribution<double> normal;
  double biased = 0, debiased = 0;
  for (int run = 0; run < 100; ++run) {
    const auto x = made<double>(12, 40, [&](int, int) { return normal(bits); });
    const auto y = made<double>(12, 40, [&](int, int) { return normal(bits); });
    biased += cka{}(x.view(), y.view()) / 100;
    debiased += cka_debiased{}(x.view(), y.view()) / 100;
  }
  CHECK(biased > 0.7);
  CHECK(std::abs(debiased) < 0.05);  // 2.6 standard errors
}

TEST_CASE("position and mean direction are taken out of any metric") {
  std::vector<std::size_t> position;
  for (std::size_t i = 0; i < 30; ++i) position.push_back(i % 3);
  const auto level = without_position(vectors<double>().view(), position);
  check(similarity<cosine>(level), {{17, 3, -0.38223013667518213}});
  check(similarity<cosine>(without_position(vectors<float>().view(), position)), {{17, 3, -0.38223013667518213}});
  const auto turned = without_mean_direction(vectors<double>().view());
  check(similarity<cosine>(turned), {{17, 3, -0.21762165318924734}});
  for (std::size_t j = 0; j < 7; ++j) {
    double sums[3] = {}, along = 0;
    for (std::size_t i = 0; i < 30; ++i) sums[i % 3] += level(i, j);
    CHECK(std::abs(sums[0] - sums[1]) + std::abs(sums[1] - sums[2]) < 1e-12);
    for (std::size_t i = 0; i < 30; ++i) along += turned(i, j);
    CHECK(std::abs(along) < 1e-12);  // the mean had no other direction
  }
  CHECK(similarity<rbf>(without_mean_direction(level.view()))(3, 17) > 0);
  CHECK_THROWS_AS(static_cast<void>(without_position(level.view(), std::vector<std::size_t>{1})), bad_input);
}

namespace {

/// No metric gives NaN for vectors that leave it nothing to measure; the numbers are what its documentation says.
template <class T>
void check_nothing_to_measure() {
  const tensor<T, 2> zeros{{5, 4}}, one = made<T>(1, 4, [](int, int j) { return j + 1; });
  const tensor<T, 2> equal = made<T>(5, 4, [](int, int j) { return 0.1 * j + 0.3; });
  for (const tensor<T, 2>* set : {&zeros, &equal}) {
    CHECK_EQ(similarity<centred_cosine>(*set)(1, 2), T{0});
    CHECK_EQ(similarity<pca_cosine>(*set)(1, 2), T{0});
    CHECK_EQ(similarity<whitened_cosine>(*set)(1, 2), T{0});
    CHECK_EQ(similarity<euclidean>(*set)(1, 2), T{0});
    CHECK_EQ(similarity<rbf>(*set)(1, 2), T{1});
    const std::vector sets{made<T>(5, 4, [](int i, int j) { return i * i + j; }), *set};
    CHECK_EQ(similarity<cka>(sets)(0, 1), T{0});
    CHECK_EQ(similarity<cka_debiased>(sets)(0, 1), T{0});
    CHECK_EQ(similarity<procrustes>(sets)(1, 0), T{0});
    CHECK_EQ(similarity<svcca>(sets)(1, 1), T{0});
    CHECK_EQ(similarity<subspace_angles>(sets)(0, 1), static_cast<T>(std::numbers::pi / 2));
  }
  CHECK_EQ(similarity<whitened_cosine>(one)(0, 0), T{0});
  CHECK_EQ(similarity<rbf>(one)(0, 0), T{1});
  for (std::size_t n = 1; n <= 3; ++n) {
    const std::vector sets{made<T>(n, 4, [](int i, int j) { return i * j; }),
                           made<T>(n, 3, [](int i, int j) { return i - j; })};
    CHECK_EQ(similarity<cka_debiased>(sets)(0, 1), T{0});
    CHECK(std::isfinite(similarity<cka>(sets)(0, 1)));
    CHECK(std::isfinite(similarity<svcca>(sets)(0, 1)));
  }
  CHECK_EQ(similarity<cka>(std::vector<tensor<T, 2>>{}).size(), 0);
}

}  // namespace

TEST_CASE("zero and equal vectors and fewer than a metric needs give the documented limit, never NaN") {
  check_nothing_to_measure<float>();
  check_nothing_to_measure<double>();
}

TEST_CASE("tiny and huge vectors are measured as others are") {
  for (const double scale : {1e-30, 1e25}) {
    const auto scaled = [&](auto x) {
      for (std::size_t i = 0; i < x.size(); ++i)
        x.data()[i] = static_cast<float>(static_cast<double>(x.data()[i]) * scale);
      return x;
    };
    const std::vector sets{scaled(wide<float>()), scaled(other<float>())};
    check(similarity<cka>(sets), {{0, 1, 0.7004238788757897}});
    check(similarity<procrustes>(sets), {{0, 1, 0.8737089651550176}});
    check(similarity<centred_cosine>(sets[0]), {{4, 1, -0.18303249961047263}});
    check(similarity<rbf>(sets[0]), {{4, 1, 0.5900149744603432}});
  }
}

TEST_CASE("numbers that are not finite and sets of different counts are refused") {
  tensor<float, 2> broken = wide<float>();
  broken(2, 3) = std::numeric_limits<float>::quiet_NaN();
  for (const auto& call : std::vector<std::function<void()>>{
           [&] {
             static_cast<void>(similarity<cka>(std::vector{wide<float>(), broken}));
           },
           [&] {
             static_cast<void>(similarity<procrustes>(std::vector{wide<float>(), broken}));
           },
           [&] { static_cast<void>(similarity<whitened_cosine>(broken)); }}) {
    CHECK_THROWS_WITH_AS(call(), "vector 2: expected finite numbers, found NaN", bad_input);
  }
  CHECK_THROWS_WITH_AS(static_cast<void>(similarity<svcca>(std::vector{wide<float>(), vectors<float>()})),
                       "svcca: expected two sets with equally many vectors, found 30 and 6", bad_input);
}

TEST_CASE("points of one source exceed what exchanged texts give, others do not, under every metric of sets") {
  std::mt19937_64 bits{5};
  std::normal_distribution<double> normal;
  const auto source = made<float>(120, 12, [&](int, int) { return normal(bits); });
  const auto noisy = made<float>(120, 12, [&](int i, int j) { return 2 * source(i, j) + 0.3 * normal(bits) + 1; });
  const auto apart = made<float>(120, 14, [&](int, int) { return normal(bits); });
  std::vector<std::size_t> text_of;
  for (std::size_t i = 0; i < 120; ++i) text_of.push_back(i < 40 ? i / 4 : i / 8 + 5);  // of 4 and 8 vectors
  const std::vector<activation_point> points{
      {.name = "resid_post.0", .vectors = source.view()}, {"resid_post.1", noisy.view()}, {"z.1.2@2", apart.view()}};
  const auto found = compare_points(points, text_of, set_metrics());
  REQUIRE_EQ(found.size(), 5);
  for (const point_similarities& each : found) {
    CAPTURE(each.metric);
    CHECK_EQ(each.exchanged, 66);  // pairs of twelve
    const double sign = each.distance ? -1 : 1;
    CHECK(sign * each.level >= sign * each.typical);
    CHECK(sign * static_cast<double>(each.values(0, 1)) > sign * each.level);
    CHECK(each.above >= 1);
    CHECK(each.above <= 2);  // one of the other two by chance
    CHECK(finding_of(each, points).rfind("Most alike: resid_post.0 and resid_post.1 (", 0) == 0);
  }
  CHECK_EQ(found[0].values(0, 1), similarity<cka>(std::vector{source, noisy})(0, 1));
  CHECK_EQ(limits_of(points, text_of).size(), 0);
  CHECK_THROWS_WITH_AS(static_cast<void>(compare_points({points[0], {"z.0", wide<float>().view()}}, text_of, {})),
                       "z.0: expected 120 vectors, as the others have, found 6", bad_input);
}

TEST_CASE("points of one text, of three vectors, of zeros: numbers, no level of chance, and sentences that say so") {
  const auto few = made<float>(3, 5, [](int i, int j) { return (i * 7 + j * 5) % 6; });
  const tensor<float, 2> zeros{{3, 4}};
  const std::vector<activation_point> points{{"mlp_out.0", few.view()}, {"mlp_out.1", zeros.view()}};
  const auto found = compare_points(points, {0, 0, 0}, set_metrics());
  for (const point_similarities& each : found) {
    for (const float value : each.values.row(0)) CHECK(std::isfinite(value));
    CHECK_EQ(each.exchanged, 0);
    CHECK(finding_of(each, points).find("With one text there is no level of chance.") != std::string::npos);
  }
  const auto limits = limits_of(points, {0, 0, 0});
  REQUIRE_EQ(limits.size(), 3);
  CHECK_EQ(limits[0], "cka_debiased needs four vectors of each point; here there are 3, and it is 0.");
  CHECK_EQ(limits[1].rfind("3 vectors of up to 5 dimensions", 0), 0);
  CHECK_EQ(limits[2].rfind("All vectors are equal in mlp_out.1", 0), 0);
  CHECK_EQ(finding_of(found[0], {points[0]}), "There is one point only.");
}

namespace {

/// Ten texts of five positions, in three categories; tokens repeat every four vectors.
vector_sources sources_of_ten_texts() {
  vector_sources result;
  result.where.category = {0, 0, 0, 0, 1, 1, 1, 2, 2, 2};
  for (std::size_t i = 0; i < 50; ++i) {
    result.where.text.push_back(i / 5);
    result.position.push_back(100 + 4 * (i % 5));
    result.token.push_back(7 * (i * i % 11));
  }
  return result;
}

/// Independent noise, and for each label that is asked for a direction of its own for each of its values.
tensor<float, 2> planted(double category, double position, std::mt19937_64& bits) {
  std::normal_distribution<double> normal;
  const vector_sources sources = sources_of_ten_texts();
  const auto directions = made<double>(8, 60, [&](int, int) { return normal(bits); });
  return made<float>(50, 60, [&](int i, int j) {
    const auto v = static_cast<std::size_t>(i), d = static_cast<std::size_t>(j);
    return normal(bits) + 2 + category * directions(sources.where.category[v / 5], d) +
           position * (static_cast<double>(v % 5) - 2) * directions(3, d);
  });
}

}  // namespace

TEST_CASE("diagonal plus low rank: planted components are counted and named, under similarities and a distance") {
  std::mt19937_64 bits{6};
  const auto all = pair_metrics();
  for (const char* name : {"centred_cosine", "pca_cosine", "euclidean", "rbf"}) {
    CAPTURE(name);
    const low_rank_fit fit = fit_low_rank(planted(2.2, 0.65, bits), by_name(all, name), sources_of_ten_texts());
    CHECK_EQ(fit.rank, 3);  // three categories, less their mean, and one of position
    REQUIRE_EQ(fit.components.size(), 3);
    std::size_t by_category = 0, by_position = 0;
    for (const matrix_component& each : fit.components) {
      by_category += each.category.share > 0.8 && each.category.p < 0.01;
      by_position += each.position.share > 0.8 && each.position.p < 0.01;
      CHECK((each.token.share < 0.3 || each.token.p > 0.01));
    }
    CHECK_EQ(by_category, 2);
    CHECK_EQ(by_position, 1);
    CHECK(fit.explained > 0.8);
    CHECK(finding_of(fit).rfind("Diagonal plus rank 3: the components beyond chance hold ", 0) == 0);
  }
}

TEST_CASE("diagonal plus low rank: vectors without structure have rank 0, but for one in twenty" *
          doctest::test_suite("long")) {
  std::mt19937_64 bits{7};
  const auto all = pair_metrics();
  std::size_t found = 0;
  for (int draw = 0; draw < 30; ++draw) {
    const low_rank_fit fit =
        fit_low_rank(planted(0, 0, bits), by_name(all, "centred_cosine"), sources_of_ten_texts(), draw);
    found += fit.rank > 0;
    if (fit.rank == 0) CHECK_EQ(fit.diagonal, 1);
  }
  CHECK(found <= 6);  // of 1.5 expected; 0.1 % beyond
}

TEST_CASE("diagonal plus low rank: a matrix that is one is fitted without remainder; equal vectors give numbers") {
  const auto all = pair_metrics();
  const named_metric exact{.name = "exact", .measure = [](tensor_view<const float, 2> x) {
                             // permuted vectors have nothing in common; these have a diagonal and one component
                             tensor<float, 2> result{{x.rows(), x.rows()}};
                             const bool real = x(0, 0) == 1 && x(49, 0) == 50 && x(20, 0) == 21;
                             for (std::size_t i = 0; i < x.rows(); ++i) {
                               for (std::size_t j = 0; j < x.rows(); ++j) {
                                 const float sign = (i % 2 == 0) == (j % 2 == 0) ? 1.0f : -1.0f;
                                 result(i, j) = (real ? sign : 0) + (i == j ? 0.5f + static_cast<float>(i % 2) : 0);
                               }
                             }
                             return result;
                           }};
  const auto x = made<float>(50, 1, [](int i, int) { return i + 1; });
  const low_rank_fit fit = fit_low_rank(x, exact, sources_of_ten_texts());
  CHECK_EQ(fit.rank, 1);
  CHECK(fit.explained > 0.999);
  CHECK(std::abs(fit.diagonal - 0.5) < 0.02);  // 0.5 and 1.5 beside 1
  const tensor<float, 2> zeros{{50, 6}};
  for (const named_metric& each : all) {
    const low_rank_fit none = fit_low_rank(zeros, each, sources_of_ten_texts());
    CHECK_EQ(none.rank, 0);
    CHECK_EQ(finding_of(none), "All pairs of vectors are equally alike: there is nothing to fit.");
    CHECK(std::isfinite(none.common + none.explained + none.residual + none.diagonal));
  }
  CHECK_THROWS_AS(static_cast<void>(fit_low_rank(tensor<float, 2>{{513, 2}}, all[0], {})), bad_input);
}
