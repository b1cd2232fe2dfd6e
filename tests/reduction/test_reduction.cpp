// SPDX-License-Identifier: MIT
// Expected numbers: tests/goldens/reduction/make_reduction_goldens.py (phate, scikit-learn, numpy).
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <optscope/core/errors.hpp>
#include <optscope/reduction.hpp>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

using namespace optscope;

namespace {

/// Three arms in 8 dimensions, `n` points. All are multiples of 1/160 or so.
tensor<double, 2> arms(std::size_t n = 90) {
  tensor<double, 2> x{{n, 8}};
  for (int i = 0; i < static_cast<int>(n); ++i) {
    for (int j = 0; j < 8; ++j) {
      x(static_cast<std::size_t>(i), static_cast<std::size_t>(j)) =
          (j == i % 3 ? i / 10.0 : 0) + ((i * 37 + j * 11 + i * j * 5) % 23 - 11) / 32.0;
    }
  }
  return x;
}

void check_near(std::span<const double> found, const std::vector<double>& expected, double relative) {
  REQUIRE(found.size() == expected.size());
  for (std::size_t k = 0; k < expected.size(); ++k) {
    CAPTURE(k);
    CAPTURE(found[k]);
    CHECK(std::abs(found[k] - expected[k]) <= relative * std::max(std::abs(expected[k]), 1e-12));
  }
}

double distance(const tensor<double, 2>& x, std::size_t a, std::size_t b) {
  double sum = 0;
  for (std::size_t c = 0; c < x.cols(); ++c) sum += (x(a, c) - x(b, c)) * (x(a, c) - x(b, c));
  return std::sqrt(sum);
}

bool finite(const tensor<double, 2>& x) {
  return std::all_of(x.data(), x.data() + x.size(), [](double value) { return std::isfinite(value); });
}

template <class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const bad_input& reason) {
    return reason.what();
  }
  return "no exception";
}

}  // namespace

TEST_CASE("principal components are scikit-learn's, with signs of their own rule") {
  const tensor<double, 2> x = arms();
  const principal_components found = pca(x, 3);
  check_near(found.variances, {9.260117146423697, 8.773587197362511, 2.359381734636607}, 1e-12);
  CHECK(std::abs(found.share(0) - 0.44941443008832116) < 1e-13);
  check_near(found.coordinates.row(0), {0.27487799994364637, -0.2904941314187754, -2.5769255916658196}, 1e-12);
  check_near(found.coordinates.row(89), {7.400801308082023, -2.1157875639437833, 2.2904049147556678}, 1e-12);

  const tensor_view<const double, 2> few{x.data(), {6, 8}};  // fewer points than dimensions
  const principal_components of_few = pca(few, 3);
  check_near(of_few.variances, {0.26279495829986177, 0.08436520632578967, 0.07554129940896306}, 1e-12);
  check_near(of_few.coordinates.row(5), {-0.5444592720191505, 0.11077519073275505, -0.40367446326102}, 1e-12);

  tensor<float, 2> single{x.shape()};
  std::copy_n(x.data(), x.size(), single.data());
  CHECK(std::abs(pca(single, 1).variances[0] - 9.260117146423697) < 1e-5);
}

TEST_CASE("components beyond the rank of the points are zero, never NaN") {
  tensor<double, 2> equal{{4, 3}}, one{{1, 3}};
  std::fill_n(equal.data(), equal.size(), 1e6 / 3);
  std::fill_n(one.data(), one.size(), 2.0);
  for (const tensor<double, 2>* x : {&equal, &one}) {
    const principal_components found = pca(*x, 5);
    CHECK(found.coordinates.cols() == 5);
    CHECK(std::all_of(found.coordinates.data(), found.coordinates.data() + found.coordinates.size(),
                      [](double value) { return value == 0; }));
    CHECK(found.share(0) == 0);
  }
  equal(2, 1) = std::numeric_limits<double>::quiet_NaN();
  CHECK(message_of([&] { (void)pca(equal, 2); }) == "point 2: expected finite numbers, found NaN");
}

TEST_CASE("trustworthiness is scikit-learn's, and its level of chance the mean over exchanged points") {
  const tensor<double, 2> x = arms(), map = pca(x, 2).coordinates;
  thread_pool pool{2};
  const double expected[] = {0.9839646464646464, 0.9976964769647696, 0.9980392156862745};
  std::size_t k = 0;
  for (const std::size_t neighbours : {1, 5, 20}) {
    CHECK(std::abs(trustworthiness(x.view(), map.view(), neighbours, pool).value - expected[k++]) < 1e-12);
  }
  const tensor_view<const double, 2> few{x.data(), {11, 8}}, few_map{map.data(), {11, 2}};
  CHECK(std::abs(trustworthiness(few, few_map, 5, pool).value - 0.8848484848484849) < 1e-12);
  CHECK(message_of([&] { (void)trustworthiness(few, few_map, 6, pool); }) ==
        "trustworthiness of 6 neighbours: expected at least 13 points, found 11");

  tensor<double, 2> distances{{90, 90}};
  for (std::size_t i = 0; i < 90; ++i) {
    for (std::size_t j = 0; j < 90; ++j) distances(i, j) = distance(x, i, j);
  }
  const double stress_by_chance = stress_of(distances, map).by_chance;
  std::mt19937_64 random{1};
  double trust_sum = 0, stress_sum = 0;
  const int draws = 60;
  for (int draw = 0; draw < draws; ++draw) {
    tensor<double, 2> exchanged = map;
    for (std::size_t i = x.rows(); i > 1; --i)
      std::ranges::swap_ranges(exchanged.row(i - 1), exchanged.row(random() % i));
    trust_sum += trustworthiness(x.view(), std::as_const(exchanged).view(), 5, pool).value;
    double product = 0, found = 0, given = 0;
    for (std::size_t i = 0; i < 90; ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        const double d = distance(exchanged, i, j);
        product += distances(i, j) * d;
        found += d * d;
        given += distances(i, j) * distances(i, j);
      }
    }
    stress_sum += 1 - product * product / (found * given);  // of the best scale
  }
  CHECK(std::abs(std::sqrt(stress_sum / draws) - stress_by_chance) < 0.01);
  CHECK(std::abs(trust_sum / draws - trustworthiness(x.view(), map.view(), 5, pool).by_chance) < 0.01);
}

TEST_CASE("the graph, the walk and its potential are the reference's") {
  const tensor<double, 2> x = arms();
  thread_pool pool{2};
  std::vector<double> mean;
  const tensor<double, 2> centred = detail::centred_points(x.view(), mean);
  const neighbour_graph graph = alpha_decay_graph(centred, 5, 40, pool);
  CHECK(graph.column.size() == 614);
  CHECK(graph.parts() == 2);
  const std::vector<double> degrees = graph.degrees();
  CHECK(std::abs(std::accumulate(degrees.begin(), degrees.end(), 0.0) - 466.683586463721) < 1e-8);
  const tensor<double, 2> spread = probabilities_after(diffusion_of(graph).step, 12);
  check_near(std::vector{spread(0, 3), spread(40, 41), spread(89, 0)},
             {0.05103103777280542, 1.0053158376206285e-08, 1.3348437653213833e-07}, 1e-9);
  const tensor<double, 2> distances = potential_distances(tensor<double, 2>{spread}, pool);
  check_near(std::vector{distances(0, 3), distances(40, 43), distances(89, 0), distances(88, 89)},
             {14.892634881166641, 0.6536420587199406, 77.29763809394986, 81.48201729689819}, 1e-9);
  const std::vector<double> entropy = entropy_of_steps(diffusion_of(graph).eigenvalues());
  check_near(std::vector{entropy[0], entropy[9], entropy[99]},
             {3.780235542815914, 2.5116834751261594, 1.7877157509011097}, 1e-10);
  CHECK(std::ranges::all_of(entropy, [](double value) { return std::isfinite(value); }));  // of powers that vanish, too
  CHECK(1 + knee_of(entropy) == 20);
}

TEST_CASE("PHATE reaches the stress of the reference and of scikit-learn from the best of many starts") {
  const tensor<double, 2> x = arms();
  thread_pool pool{2}, one{1};
  const phate_map map = phate(x.view(), {.time = 12}, pool);
  CHECK(map.time == 12);
  CHECK(map.converged);
  CHECK(map.landmarks == 0);
  CHECK(map.stress.value < 0.1044);  // the reference: 0.104405
  CHECK(map.stress.value > 0.10439);
  CHECK(map.stress.by_chance > 4 * map.stress.value);
  // Its map, up to a factor, a rotation and a shift; distances there: (0, 89), (10, 50), (87, 88).
  const double scale = distance(map.points, 0, 89) / 0.15901680230125803;
  CHECK(std::abs(distance(map.points, 10, 50) / scale - 0.1504787821736717) < 2e-3);
  CHECK(std::abs(distance(map.points, 87, 88) / scale - 0.12711199491364783) < 2e-3);
  const phate_map again = phate(x.view(), {.time = 12}, one);
  CHECK(std::equal(map.points.data(), map.points.data() + map.points.size(), again.points.data()));
  CHECK(phate(x.view(), {}, pool).time == 20);
  CHECK(phate(x.view(), {.dimensions = 3, .time = 12}, pool).stress.value < map.stress.value);
}

TEST_CASE(
    "shares of variance have a level of chance; distances of groups are means over pairs; stress is that of the "
    "points") {
  const tensor<double, 2> x = arms(), flat = pca(x, 2).coordinates;
  const principal_components found = pca(x, 2);
  const double by_chance = share_by_chance(x.view(), 2);
  CHECK(by_chance < found.share(0) + found.share(1) - 0.1);
  tensor<double, 2> noise{{300, 4}};
  std::mt19937_64 random{3};
  for (std::size_t k = 0; k < noise.size(); ++k) noise.data()[k] = static_cast<double>(random() >> 11);
  CHECK(std::abs(share_by_chance(std::as_const(noise).view(), 2) - pca(noise, 2).share(0) - pca(noise, 2).share(1)) <
        0.05);
  CHECK(share_by_chance(tensor_view<const double, 2>{x.data(), {1, 8}}, 2) == 0);

  thread_pool pool{2};
  tensor<double, 2> distances{{90, 90}};
  std::vector<std::size_t> group(90, 1);
  for (std::size_t i = 0; i < 90; ++i) {
    for (std::size_t j = 0; j < 90; ++j) distances(i, j) = distance(x, i, j);
  }
  const stress_level of_points = stress_of_map(x.view(), flat.view(), pool), of_matrix = stress_of(distances, flat);
  CHECK(std::abs(of_points.value - of_matrix.value) < 1e-9);
  CHECK(std::abs(of_points.by_chance - of_matrix.by_chance) < 1e-9);
  CHECK(of_points.value < of_points.by_chance);

  group[0] = 0;
  group[88] = group[89] = 2;
  const tensor<double, 2> of_groups = mean_distances(x.view(), group);
  CHECK(std::isnan(of_groups(0, 0)));
  CHECK(std::abs(of_groups(2, 2) - distances(88, 89)) < 1e-12);
  CHECK(std::abs(of_groups(0, 2) - (distances(0, 88) + distances(0, 89)) / 2) < 1e-12);
  CHECK(of_groups(2, 0) == of_groups(0, 2));
}

TEST_CASE("with landmarks the walk is reversible, and the map keeps the arms") {
  const tensor<double, 2> x = arms(300);
  thread_pool pool{2}, one{1};
  std::vector<double> mean;
  const tensor<double, 2> centred = detail::centred_points(x.view(), mean);
  const neighbour_graph graph = alpha_decay_graph(centred, 5, 40, pool);
  const diffusion walk = landmark_diffusion(graph, 60, 1, pool);
  CHECK(walk.step.rows() <= 60);
  CHECK(walk.step.rows() > 50);
  double error = 0;
  for (std::size_t i = 0; i < walk.step.rows(); ++i) {
    const auto row = walk.step.row(i);
    error = std::max(error, std::abs(1 - std::accumulate(row.begin(), row.end(), 0.0)));
    for (std::size_t j = 0; j < i; ++j) {
      error = std::max(error, std::abs(walk.weights[i] * walk.step(i, j) - walk.weights[j] * walk.step(j, i)));
    }
  }
  CHECK(error < 1e-12);
  const phate_settings settings{.landmarks = 60};
  const phate_map map = phate(x.view(), settings, pool);
  CHECK(map.landmarks == walk.step.rows());
  CHECK(trustworthiness(x.view(), map.points.view(), 5, pool).value > 0.9);
  const phate_map again = phate(x.view(), settings, one);
  CHECK(std::equal(map.points.data(), map.points.data() + map.points.size(), again.points.data()));
}

TEST_CASE("points in few dimensions are found again from their distances") {
  const tensor<double, 2> flat = pca(arms(), 2).coordinates;
  tensor<double, 2> distances{{90, 90}};
  for (std::size_t i = 0; i < 90; ++i) {
    for (std::size_t j = 0; j < 90; ++j) distances(i, j) = distance(flat, i, j);
  }
  const tensor<double, 2> found = on_principal_axes(classical_scaling(distances, 2));
  const tensor<double, 2> expected = on_principal_axes(flat);
  for (std::size_t k = 0; k < found.size(); ++k) CHECK(std::abs(found.data()[k] - expected.data()[k]) < 1e-9);
  CHECK(stress_of(distances, found).value < 1e-7);
  thread_pool pool{1};
  const scaled_points scaled = metric_scaling(distances, arms().view(), {}, pool);  // from elsewhere, in 8 dimensions
  CHECK(scaled.stress < 0.01);
}

TEST_CASE("odd points give a message or a map at zero, never NaN") {
  thread_pool pool{2};
  const tensor<double, 2> x = arms(6);
  CHECK(message_of([&] { (void)phate(x.view(), {}, pool); }) ==
        "PHATE with 5 neighbours: expected at least 7 points, found 6");
  CHECK(message_of([&] { (void)phate(x.view(), {.dimensions = 0}, pool); }) ==
        "dimensions: expected a number above 0, found 0 or less");
  CHECK(finite(phate(x.view(), {.neighbours = 4}, pool).points));

  tensor<float, 2> zero{{20, 3}}, equal{{20, 3}}, two{{20, 3}}, pairs{{20, 3}};
  std::fill_n(equal.data(), equal.size(), 1.1f);
  for (std::size_t i = 0; i < 20; ++i) {
    two(i, 0) = i < 10 ? 1.0f : -1.0f;
    pairs(i, 1) = static_cast<float>(i / 2);
  }
  for (const tensor<float, 2>* points : {&zero, &equal}) {
    const phate_map map = phate(std::as_const(*points).view(), {}, pool);
    CHECK(map.flat);
    CHECK(map.stress.value == 0);
    CHECK(finite(map.points));
  }
  for (const tensor<float, 2>* points : {&two, &pairs}) {
    for (const std::size_t landmarks : {std::size_t{2000}, std::size_t{8}}) {
      const phate_map map = phate(std::as_const(*points).view(), {.landmarks = landmarks}, pool);
      CHECK(finite(map.points));
      CHECK(std::isfinite(map.stress.value));
      CHECK_FALSE(map.flat);
    }
  }
  CHECK(phate(std::as_const(two).view(), {}, pool).parts == 2);
  zero(3, 1) = std::numeric_limits<float>::infinity();
  CHECK(message_of([&] { (void)phate(std::as_const(zero).view(), {}, pool); }) ==
        "point 3: expected finite numbers, found infinity");
}

TEST_CASE("linear discriminants are scikit-learn's") {
  const tensor<double, 2> x = arms();
  tensor<float, 2> points{x.shape()};
  std::transform(x.data(), x.data() + x.size(), points.data(), [](double each) { return static_cast<float>(each); });
  std::vector<std::size_t> category;
  for (std::size_t i = 0; i < 90; ++i) category.push_back(i % 3);
  const fitted_axes found = linear_discriminants(points.view(), category, 8, 0);
  REQUIRE(found.axes.rows() == 2);
  const std::vector<std::vector<double>> expected{
      {-0.22123695860524092, -0.3986934263341131, 0.6193112128535999, 0.20699810006392552, 0.23435908299018599,
       0.5530490048906815, -0.023388408334079028, 0.06609666340913589},
      {0.6737916012038374, -0.5456414240952372, -0.12224152347490681, -0.18041623791316833, 0.3231650032032544,
       -0.015359130147059126, -0.2779379817235287, -0.13735451079415223}};
  for (std::size_t d = 0; d < 2; ++d) {
    std::vector<double> axis{found.axes.row(d).begin(), found.axes.row(d).end()};
    double square = 0;
    for (const double each : axis) square += each * each;
    const double sign = axis[d == 0 ? 2 : 0] < 0 ? -1 : 1;
    for (double& each : axis) each *= sign / std::sqrt(square);
    check_near(axis, expected[d], 1e-9);
  }
  const tensor<double, 2> where = coordinates_along(found, points.view());
  double mean = 0;
  for (std::size_t i = 0; i < 90; ++i) mean += where(i, 0) / 90;
  CHECK(std::abs(mean) < 1e-9);
}

TEST_CASE("cross-validated directions: categories that are there are found, where there are none p is uniform") {
  const std::vector<std::size_t> category{0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2};
  const std::vector<std::size_t> half = halves_of_texts(category);
  CHECK(half == std::vector<std::size_t>{0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1});
  std::mt19937_64 bits{7};
  std::normal_distribution<double> noise;
  constexpr std::size_t width = 40, each = 3, layers = 2;
  const auto study = [&](double apart, std::size_t most) {
    std::vector<std::array<tensor<double, 2>, 2>> all(layers);
    for (auto& layer : all) {
      tensor<float, 2> texts{{category.size(), width}};
      std::array<tensor<float, 2>, 2> points{tensor<float, 2>{{6 * each, width}}, tensor<float, 2>{{6 * each, width}}};
      std::array<std::size_t, 2> filled{};
      for (std::size_t t = 0; t < category.size(); ++t) {
        for (std::size_t j = 0; j < width; ++j) {
          texts(t, j) = static_cast<float>(noise(bits) + (j == category[t] ? apart : 0));
        }
        for (std::size_t v = 0; v < each; ++v, ++filled[half[t]]) {
          for (std::size_t j = 0; j < width; ++j) {
            points[half[t]](filled[half[t]], j) = texts(t, j) + static_cast<float>(0.5 * noise(bits));
          }
        }
      }
      for (std::size_t h = 0; h < 2; ++h) layer[h] = coordinates_along(whitening_axes(points[h].view()), texts.view());
    }
    return cross_validate(all, category, most);
  };
  const separations clear = study(8, 500);
  CHECK(clear.layers[0].right >= 11);
  CHECK(clear.layers[0].p_over_all < 0.01);
  CHECK(std::abs(clear.by_chance - 4) < 0.4);  // a third of 12
  CHECK(clear.layers[0].right > clear.level);
  CHECK(clear.smallest_p < 0.01);
  std::size_t low = 0, below_half = 0;
  for (std::size_t draw = 0; draw < 200; ++draw) {
    const separations none = study(0, 60);
    double p = 1;
    for (const separation& layer : none.layers) {
      p = std::min(p, layer.p_over_all);
      CHECK((layer.p_over_all <= 0.05) == (layer.right > none.level));
    }
    low += p <= 0.05;
    below_half += p <= 0.5;
  }
  CHECK(low <= 22);  // of 200 expected 10 or fewer, since counts are coarse; 0.1 % beyond
  CHECK(below_half <= 122);
  CHECK(below_half >= 40);
}

TEST_CASE("cross-validation without enough texts, or of texts that are alike, claims nothing") {
  const std::array<tensor<double, 2>, 2> alike{tensor<double, 2>{{4, 3}}, tensor<double, 2>{{4, 3}}};
  CHECK(cross_validate({alike}, {0, 0, 0, 1}).labelings == 0);  // one text in a category
  CHECK(cross_validate({alike}, {0, 0, 0, 0}).labelings == 0);  // one category
  const separations found = cross_validate({alike}, {0, 0, 1, 1});
  CHECK(found.layers[0].right == 0);
  CHECK(found.layers[0].p_over_all == 1);
  CHECK(found.smallest_p == doctest::Approx(0.5));  // 2 x 2 labellings, half of them only other names
  const tensor<float, 2> equal{{4, 3}};
  CHECK(finite(whitening_axes(equal.view()).axes));
  CHECK(finite(linear_discriminants(equal.view(), {0, 0, 1, 1}).axes));
  CHECK(linear_discriminants(equal.view(), {0, 0, 0, 0}).axes.rows() == 0);
}
