// SPDX-License-Identifier: MIT
// Expected numbers: tests/goldens/similarity/make_similarity_goldens.py (scipy).
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <cstddef>
#include <limits>
#include <optscope/units/selectivity.hpp>
#include <random>
#include <utility>
#include <vector>

using namespace optscope;

TEST_CASE("F statistics over text means agree with scipy's f_oneway") {
  const std::vector<std::size_t> category{0, 0, 0, 0, 1, 1, 1, 2, 2, 2};
  tensor<float, 2> x{{30, 7}};
  std::vector<std::size_t> text_of;
  for (std::size_t i = 0; i < 30; ++i) {
    text_of.push_back(i / 3);
    for (std::size_t j = 0; j < 7; ++j) {
      const int step = static_cast<int>((i * 37 + j * 11 + i * j * 5) % 23) - 11;
      x(i, j) = static_cast<float>(step) / 8.0f + (j == 2 ? static_cast<float>(category[i / 3]) : 0.0f);
    }
  }
  const auto f = f_statistics(text_averages(std::as_const(x).view(), text_of, 10).view(), category);
  const double expected[] = {0.5666931164451499, 0.6246731478377474,  9.464973838104038, 0.1588414277355178,
                             4.052579921480652,  0.47066014669926654, 0.2577330895795247};
  for (std::size_t j = 0; j < 7; ++j) CHECK(std::abs(f[j] - expected[j]) < 1e-10 * expected[j]);
  CHECK_EQ(indices_of_largest(f, 3), std::vector<std::size_t>{2, 4, 1});
}

TEST_CASE("dimensions without variance are ranked and never NaN by accident") {
  const std::vector<std::size_t> category{0, 0, 1, 1};
  tensor<double, 2> means{{4, 3}};
  for (std::size_t t = 0; t < 4; ++t) means(t, 1) = static_cast<double>(category[t]);  // differs only between
  means(0, 2) = 1;
  const auto f = f_statistics(std::as_const(means).view(), category);
  CHECK_EQ(f[0], 0.0);
  CHECK(std::isinf(f[1]));
  CHECK(std::abs(f[2] - 1) < 1e-12);
  CHECK_EQ(indices_of_largest(f, 9), std::vector<std::size_t>{1, 2, 0});
}

TEST_CASE("fewer than two categories, or one text in each, give NaN, ranked last") {
  tensor<double, 2> means{{2, 1}};
  CHECK(std::isnan(f_statistics(std::as_const(means).view(), {0, 0})[0]));
  CHECK(std::isnan(f_statistics(std::as_const(means).view(), {0, 1})[0]));
  CHECK_EQ(indices_of_largest({std::nan(""), 0.0}, 2), std::vector<std::size_t>{1, 0});
}

TEST_CASE(
    "dimensions of noise are below the level of exchanged labels in 95 % of the studies; real ones are above it") {
  std::mt19937_64 bits{21};
  std::normal_distribution<double> normal;
  const std::vector<std::size_t> few{0, 0, 0, 0, 1, 1, 1, 2, 2, 2};
  std::vector<std::size_t> many;
  for (std::size_t t = 0; t < 32; ++t) many.push_back(t / 8);
  for (const auto* category : {&std::as_const(few), &std::as_const(many)}) {
    std::size_t above = 0, found = 0;
    constexpr std::size_t studies = 50, width = 200;
    for (std::size_t study = 0; study < studies; ++study) {
      std::vector<tensor<float, 2>> layers;
      std::vector<std::size_t> text_of;
      for (std::size_t t = 0; t < category->size(); ++t) text_of.push_back(t);
      for (int layer = 0; layer < 2; ++layer) {
        layers.emplace_back(std::array{category->size(), width});
        for (std::size_t i = 0; i < layers.back().size(); ++i) {
          layers.back().data()[i] = static_cast<float>(normal(bits));
        }
      }
      const auto find = [&] {
        return find_selective_dimensions({std::as_const(layers[0]).view(), std::as_const(layers[1]).view()}, text_of,
                                         *category, 100);
      };
      const selective_dimensions noise = find();
      CHECK_EQ(noise.halves, category == &many);
      CHECK_EQ(std::isnan(noise.best[0].f_of_others), category == &few);
      CHECK_EQ(noise.best[0].p <= 0.05, noise.best[0].f > noise.level);
      above += noise.best[0].p <= 0.05;
      if (category == &few) continue;
      for (std::size_t t = 0; t < category->size(); ++t) layers[1](t, 7) += 4 * static_cast<float>((*category)[t]);
      const selective_dimensions real = find();
      found += real.best[0].dimension == 7 && real.best[0].layer == 1 && real.best[0].p <= 0.05 &&
               real.best[0].f_of_others > 20;
    }
    CHECK(above <= 9);  // expected 2 or 3
    if (category == &many) CHECK(found >= 47);
  }
}
