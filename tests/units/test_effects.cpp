// SPDX-License-Identifier: MIT
// Effect sizes, the permutation null, false discovery rates, and what tokens explain.
#include <doctest/doctest.h>

#include <cmath>
#include <optscope/backend/cpu.hpp>
#include <optscope/units/effects.hpp>
#include <optscope/units/token_controls.hpp>
#include <random>
#include <vector>

using namespace optscope;

namespace {

/// One layer with `ffn` neurons; text t of category c has the values that `value(c, t, neuron)` gives, at one position.
template <class Value>
unit_sums made_up(const text_groups& groups, std::size_t ffn, const Value& value) {
  architecture shape;
  shape.layers = 1;
  shape.heads = 1;
  shape.ffn = ffn;
  unit_sums sums{shape, groups, std::vector<head_norms>(1)};
  for (std::size_t c = 0; c < groups.categories(); ++c) {
    for (std::size_t t = 0; t < groups.texts(c); ++t) {
      std::vector<float> row(ffn);
      for (std::size_t n = 0; n < ffn; ++n) row[n] = static_cast<float>(value(c, t, n));
      sums.expect({{c, groups.of(c, t), 1, 0, true}});
      sums(site::mlp_post{}, place{}, tensor_view<const float, 2>{row.data(), {1, ffn}});
    }
  }
  return sums;
}

}  // namespace

TEST_CASE("Hedges' g is that of a case computed by hand; none where texts of a category do not differ") {
  const text_groups groups{{2, 2}};
  // Neuron 0: texts 1, 3 against 6, 8: means 2 and 7, variance 2 within, df 2: g = -5 / sqrt(2) * (1 - 3/7).
  const auto sums = made_up(groups, 3, [](std::size_t c, std::size_t t, std::size_t n) {
    return n == 0   ? 1.0 + 5.0 * static_cast<double>(c) + 2.0 * static_cast<double>(t)
           : n == 1 ? static_cast<double>(c)
                    : 0.0;
  });
  const auto first = effect_sizes(sums, groups, 0, unit_statistic::mean);
  const std::size_t neuron = sums.units().first(unit_kind::neuron, 0);
  CHECK(first[neuron] == doctest::Approx(-5 / std::sqrt(2.0) * (1 - 3.0 / 7)));
  CHECK(effect_sizes(sums, groups, 1, unit_statistic::mean)[neuron] == doctest::Approx(-first[neuron]));
  CHECK(std::isnan(first[neuron + 1]));
  CHECK(std::isnan(first[neuron + 2]));
  const text_groups single{{1, 1}};
  const auto alone = made_up(single, 1, [](std::size_t c, std::size_t, std::size_t) { return static_cast<double>(c); });
  CHECK(std::isnan(effect_sizes(alone, single, 0, unit_statistic::mean)[neuron]));
}

TEST_CASE("if there are few labellings, each comes once, the real one first") {
  const labellings few = relabel({0, 0, 1, 1, 1}, 0);
  CHECK(few.exact);
  REQUIRE_EQ(few.masks.rows(), 10);
  CHECK_EQ(std::vector<float>(few.masks.row(0).begin(), few.masks.row(0).end()), std::vector<float>{1, 1, 0, 0, 0});
  for (std::size_t i = 0; i < 10; ++i) {
    float chosen = 0;
    for (const float mask : few.masks.row(i)) chosen += mask;
    CHECK_EQ(chosen, 2);
    for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(std::ranges::equal(few.masks.row(i), few.masks.row(j)));
  }
  const labellings many =
      relabel(std::vector<std::size_t>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 1);
  CHECK_FALSE(many.exact);
  CHECK_EQ(many.masks.rows(), 2000);
}

TEST_CASE("p is the exact share of labellings; noise gives uniform p and no findings, a real difference is found") {
  const text_groups small{{2, 3}};
  const auto few = made_up(small, 1, [](std::size_t c, std::size_t t, std::size_t) {
    return 10.0 * static_cast<double>(c) + static_cast<double>(t);
  });
  cpu backend{1};
  const auto exact = compare_categories(few, small, unit_statistic::mean, backend);
  CHECK(exact.p(0, few.units().first(unit_kind::neuron, 0)) == doctest::Approx(0.1));  // 1 of 10

  std::mt19937_64 bits{7};
  const auto noise = [&] { return static_cast<double>(bits() >> 11) * 0x1p-53; };
  const text_groups groups{{12, 12, 12}};
  const std::size_t ffn = 400, real = 40;
  const auto sums = made_up(
      groups, ffn, [&](std::size_t c, std::size_t, std::size_t n) { return noise() + (n < real && c == 1 ? 2 : 0); });
  const auto found = compare_categories(sums, groups, unit_statistic::mean, backend);
  const std::size_t first = sums.units().first(unit_kind::neuron, 0);
  std::size_t low = 0, hits = 0, false_hits = 0;
  for (std::size_t n = 0; n < ffn; ++n) {
    hits += n < real && found.q(1, first + n) <= 0.05;
    for (std::size_t c = 0; c < 3; ++c) {
      if (n < real) continue;
      low += found.p(c, first + n) <= 0.1;
      false_hits += found.q(c, first + n) <= 0.05;
    }
  }
  CHECK_EQ(hits, real);
  CHECK(false_hits <= 8);
  CHECK(low > 60);  // of 1,080 expected 108
  CHECK(low < 160);
}

TEST_CASE("adjusted p are those of the example in Benjamini and Hochberg's paper") {
  const std::vector<double> p{0.01, 0.04, 0.03, 0.5};
  const auto q = false_discovery_rates(p);
  CHECK(q[0] == doctest::Approx(0.04));
  CHECK(q[1] == doctest::Approx(0.16 / 3));
  CHECK(q[2] == doctest::Approx(0.16 / 3));
  CHECK(q[3] == doctest::Approx(0.5));
  CHECK(false_discovery_rates({}).empty());
}

TEST_CASE(
    "a neuron that follows one token is explained by it, one that follows the category is not; a constant one has no "
    "shares") {
  std::mt19937_64 bits{3};
  recorded_tokens at;
  std::vector<float> line_breaks, code, flat;
  for (std::size_t i = 0; i < 6000; ++i) {
    const std::size_t category = i < 3000 ? 0 : 1;
    const token_id token = static_cast<token_id>(bits() % (category == 0 ? 20 : 5));  // token 0 is more often in 1
    at.token.push_back(token);
    at.position.push_back(i % 50);
    at.category.push_back(category);
    const auto noise = static_cast<float>(bits() % 1000) * 1e-4f;
    line_breaks.push_back((token == 0 ? 1.0f : 0.0f) + noise);
    code.push_back((category == 1 ? 1.0f : 0.0f) + noise);
    flat.push_back(0);
  }
  const token_controls of_token = controls_of(line_breaks, at, 1);
  CHECK_EQ(of_token.best, 0);
  CHECK(of_token.by_best > 0.95);
  CHECK(of_token.by_token > 0.95);
  CHECK(std::abs(of_token.by_position) < 0.05);
  CHECK(std::abs(of_token.gap_beyond_tokens) < 0.05);
  CHECK(of_token.mean_at_best == doctest::Approx(1.05).epsilon(0.01));
  CHECK(of_token.mean_elsewhere == doctest::Approx(0.05).epsilon(0.1));
  const token_controls of_category = controls_of(code, at, 1);
  CHECK(of_category.gap_beyond_tokens == doctest::Approx(1).epsilon(0.01));  // tokens 5 to 19 are in category 0 alone
  CHECK(of_category.by_best < 0.3);
  CHECK(std::isnan(controls_of(flat, at, 1).by_token));
  const auto places = extreme_places(line_breaks, at.token, 30);
  CHECK_EQ(places.size(), 30);
  CHECK_EQ(at.token[places[0]], 0);
  CHECK_NE(at.token[places[1]], 0);  // another token first
}

TEST_CASE("gap beyond tokens is the coefficient of least squares in token and category, over the plain difference") {
  recorded_tokens at;
  const std::vector<float> values{1, 3, 4, 2, 6, 8, 5};
  at.token = {7, 7, 7, 9, 9, 9, 4};
  at.category = {0, 0, 2, 1, 2, 2, 2};
  at.position.resize(values.size());
  // By hand: token 7 gives 4/3 along 2/3 of the category, token 9 10/3 along 2/3, so 3.5; plain means 5.75 and 2.
  CHECK(controls_of(values, at, 2).gap_beyond_tokens == doctest::Approx(3.5 / 3.75));
  at.token = {1, 1, 2, 1, 2, 2, 2};  // no token is on both sides
  CHECK(std::isnan(controls_of(values, at, 2).gap_beyond_tokens));
}

TEST_CASE("a neuron that is the category, half the category and half the token, or the token has gaps of 1, 0.5, 0") {
  std::mt19937_64 bits{11};
  for (const std::size_t tokens : {20u, 200u, 2000u}) {  // from 200 on most are in one category much more often
    recorded_tokens at;
    std::vector<float> follows[3];
    std::vector<double> share(tokens);  // of a token's places that are in category 1
    for (double& each : share) each = static_cast<double>(1 + bits() % 9) / 10;
    double sum[2] = {}, count[2] = {};  // [category]: of what the token gives
    for (std::size_t i = 0; i < 20000; ++i) {
      const std::size_t token = bits() % tokens;
      const auto in = static_cast<float>(static_cast<double>(bits() % 1000) < 1000 * share[token]);
      const auto noise = static_cast<float>(bits() % 1000) * 1e-4f, of_token = static_cast<float>(share[token]);
      at.token.push_back(static_cast<token_id>(token));
      at.position.push_back(i % 50);
      at.category.push_back(static_cast<std::size_t>(in));
      follows[0].push_back(in + noise);
      follows[1].push_back(in + 3 * of_token + noise);
      follows[2].push_back(3 * of_token + noise);
      sum[at.category.back()] += static_cast<double>(3 * of_token);
      count[at.category.back()] += 1;
    }
    const double tokens_give = sum[1] / count[1] - sum[0] / count[0];
    CHECK(controls_of(follows[0], at, 1).gap_beyond_tokens == doctest::Approx(1).epsilon(0.01));
    CHECK(controls_of(follows[1], at, 1).gap_beyond_tokens == doctest::Approx(1 / (1 + tokens_give)).epsilon(0.01));
    CHECK(std::abs(controls_of(follows[2], at, 1).gap_beyond_tokens) < 0.02);
  }
}
