// SPDX-License-Identifier: MIT
// Effect sizes, the permutation null, false discovery rates, and what tokens explain.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <optscope/backend/cpu.hpp>
#include <optscope/units/effects.hpp>
#include <optscope/units/token_controls.hpp>
#include <optscope/units/unit_findings.hpp>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "temporary_folder.hpp"

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

TEST_CASE("names with tabs and newlines are one cell of the table of units") {
  const text_groups groups{{2, 2}};
  unit_findings found{
      .categories = {"a\tb\nc\\\r", "caf\xe9"},
      .groups = groups,
      .sums = made_up(groups, 2, [](std::size_t c, std::size_t t, std::size_t) { return double(c + t); })};
  cpu backend{1};
  found.effects.emplace(found.by, compare_categories(found.sums, groups, found.by, backend));
  const temporary_folder folder;
  write_unit_table(folder / "units.tsv", found);
  std::istringstream table{content_of(folder / "units.tsv")};
  std::string row, header;
  std::getline(table, header);
  const auto columns = std::ranges::count(header, '\t');
  while (std::getline(table, row)) CHECK_EQ(std::ranges::count(row, '\t'), columns);
  CHECK_NE(header.find("\ta\\tb\\nc\\\\\\r.frequency\t"), std::string::npos);
  CHECK_NE(header.find("\tcaf\ufffd.mean\t"), std::string::npos);
}

TEST_CASE("every neuron's highest token is found over several runs, BOS left out") {
  architecture shape;
  shape.layers = 2;
  shape.heads = 1;
  shape.ffn = 3;
  highest_tokens highest{unit_table{shape}};
  const float first[6] = {9, -1, 0, 1, -2, 0}, second[3] = {0, -0.5f, 0};  // (position, neuron)
  highest.expect({{.tokens = {2, 40}, .skip = 1}, {.tokens = {41}, .skip = 0}});
  highest(site::mlp_post{}, {.text = 0, .layer = 1}, tensor_view<const float, 2>{first, {2, 3}});
  highest(site::mlp_post{}, {.text = 1, .layer = 1}, tensor_view<const float, 2>{second, {1, 3}});
  CHECK_EQ(highest.tokens(), std::vector<token_id>{-1, -1, -1, 40, 41, 40});
  highest.expect({{.tokens = {42}, .skip = 0}});
  highest(site::mlp_post{}, {.text = 0, .layer = 1}, tensor_view<const float, 2>{first, {1, 3}});
  CHECK_EQ(highest.tokens(), std::vector<token_id>{-1, -1, -1, 42, 41, 40});
}

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
  REQUIRE_EQ(few.contrasts.rows(), 10);
  CHECK_EQ(few.smallest_p, doctest::Approx(0.1));
  const float other = -2.0f / 3;
  CHECK(std::ranges::equal(few.contrasts.row(0), std::vector<float>{1, 1, other, other, other}));
  for (std::size_t i = 0; i < 10; ++i) {
    CHECK_EQ(std::ranges::count(few.contrasts.row(i), 1.0f), 2);
    for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(std::ranges::equal(few.contrasts.row(i), few.contrasts.row(j)));
  }
  CHECK_EQ(relabel({0, 0, 1, 1}, 0).smallest_p, doctest::Approx(1.0 / 3));  // each contrast and its opposite
  const labellings many =
      relabel(std::vector<std::size_t>{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, 1);
  CHECK_FALSE(many.exact);
  CHECK_EQ(many.contrasts.rows(), 5000);
  CHECK_EQ(many.smallest_p, doctest::Approx(2.0 / 184756));
}

TEST_CASE("effect and p have one contrast: the category's mean minus the mean of the other categories' means") {
  std::mt19937_64 bits{1};
  const text_groups groups{{18, 17, 3, 3}};
  const std::size_t ffn = 500;
  const auto sums =
      made_up(groups, ffn, [&](std::size_t, std::size_t, std::size_t) { return static_cast<double>(bits() >> 40); });
  const std::size_t first = sums.units().first(unit_kind::neuron, 0);
  for (std::size_t c = 0; c < 4; ++c) {
    const labellings null = relabel(groups.category(), c);
    const std::vector<double> g = effect_sizes(sums, groups, c, unit_statistic::mean);
    tensor<float, 2> values{{sums.units().size(), groups.count()}};
    detail::standardised_groups(sums, groups, unit_statistic::mean, 0, values.view());
    std::size_t opposite = 0;
    for (std::size_t u = first; u < first + ffn; ++u) {
      double contrast = 0;
      for (std::size_t i = 0; i < groups.count(); ++i) {
        contrast += static_cast<double>(null.contrasts(0, i) * values(u, i));
      }
      opposite += contrast * g[u] < 0 && std::abs(contrast) > 1e-4;
    }
    CHECK_EQ(opposite, 0);
  }
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

TEST_CASE("few neurons that are ten times as active in a category are found among 32,768 tests, 300 or 20 of them" *
          doctest::test_suite("long")) {
  const text_groups groups{{8, 8, 8, 8}};
  cpu backend{2};
  for (const std::size_t planted : {300u, 20u}) {
    std::mt19937_64 bits{planted};
    const std::size_t ffn = 8192;
    const auto sums = made_up(groups, ffn, [&](std::size_t c, std::size_t, std::size_t n) {
      const double noise = 0.5 + static_cast<double>(bits() >> 11) * 0x1p-53;
      return noise * (n < planted && c == 2 ? 10 : 1);
    });
    const auto found = compare_categories(sums, groups, unit_statistic::mean, backend);
    const std::size_t first = sums.units().first(unit_kind::neuron, 0);
    std::size_t hits = 0, wrong = 0;
    for (std::size_t n = 0; n < ffn; ++n) {
      hits += n < planted && found.q(2, first + n) <= 0.05;
      for (std::size_t c = 0; c < 4; ++c) wrong += n >= planted && found.q(c, first + n) <= 0.05;
    }
    CHECK(hits >= planted * 9 / 10);
    CHECK(wrong <= planted / 10);
  }
}

TEST_CASE("no false findings where a category has few texts and the others many; groups are of equal size" *
          doctest::test_suite("long")) {
  std::mt19937_64 bits{4};
  const std::size_t ffn = 2000;
  cpu backend{2};
  for (const std::vector<std::size_t>& texts : {std::vector<std::size_t>{500, 1, 500}, {1024, 7}, {40, 3, 3}}) {
    const text_groups groups{texts};
    const auto sums = made_up(groups, ffn, [&](std::size_t, std::size_t, std::size_t) {
      return -std::log(static_cast<double>((bits() >> 11) + 1) * 0x1p-53);  // skewed, as activity is
    });
    const auto found = compare_categories(sums, groups, unit_statistic::mean, backend);
    const std::size_t first = sums.units().first(unit_kind::neuron, 0);
    std::size_t wrong = 0, low = 0;
    for (std::size_t n = 0; n < ffn; ++n) {
      for (std::size_t c = 0; c < texts.size(); ++c) {
        wrong += found.q(c, first + n) <= 0.05;
        low += found.p(c, first + n) <= 0.05;
      }
    }
    CHECK_MESSAGE(wrong <= 2, texts.size());
    CHECK(low < 0.06 * static_cast<double>(texts.size() * ffn));
  }
}

namespace {

/// How often a test is run under the null; the environment variable OPTSCOPE_NULL_RUNS asks for more.
std::size_t null_runs(std::size_t few) {
  const char* asked = std::getenv("OPTSCOPE_NULL_RUNS");
  return asked != nullptr ? std::stoul(asked) : few;
}

}  // namespace

TEST_CASE("small p, by the fitted tail too, are as frequent under the null as they say" * doctest::test_suite("slow")) {
  std::normal_distribution<double> normal;
  std::mt19937_64 bits{9};
  const std::size_t ffn = 8192, runs = null_runs(3);
  cpu backend{2};
  std::size_t tests = 0, with_findings = 0;
  std::array<std::size_t, 4> low{};  // p <= 1e-2, 1e-3, 1e-4, 1e-5
  for (std::size_t run = 0; run < runs; ++run) {
    const text_groups groups{run % 3 == 0   ? std::vector<std::size_t>{8, 8, 8, 8}
                             : run % 3 == 1 ? std::vector<std::size_t>{14, 9, 6, 10}
                                            : std::vector<std::size_t>{60, 60}};
    const auto sums = made_up(groups, ffn, [&](std::size_t, std::size_t, std::size_t n) {
      const double value = normal(bits);
      const bool high = bits() % 100 < 15;
      return n % 3 == 0 ? value : n % 3 == 1 ? std::exp(value) : 0.3 * value + (high ? 10 : 0);  // skewed, and sparse
    });
    const auto found = compare_categories(sums, groups, unit_statistic::mean, backend);
    const std::size_t first = sums.units().first(unit_kind::neuron, 0);
    bool any = false;
    for (std::size_t c = 0; c < groups.categories(); ++c) {
      for (std::size_t n = 0; n < ffn; ++n) {
        for (std::size_t i = 0; i < 4; ++i)
          low[i] += found.p(c, first + n) <= std::pow(10, -2 - static_cast<double>(i));
        any = any || found.q(c, first + n) <= 0.05;
        ++tests;
      }
    }
    with_findings += any;
  }
  MESSAGE(tests << " tests: " << low[0] << ", " << low[1] << ", " << low[2] << ", " << low[3] << " p to 1e-2 … 1e-5; "
                << with_findings << " of " << runs << " runs with findings");
  for (std::size_t i = 0; i < 4; ++i) {
    const double expected = static_cast<double>(tests) * std::pow(10, -2 - static_cast<double>(i));
    CHECK(static_cast<double>(low[i]) < 1.3 * expected + 4 * std::sqrt(expected) + 1);
    if (i < 2) CHECK(static_cast<double>(low[i]) > 0.8 * expected - 4 * std::sqrt(expected));
  }
  CHECK(with_findings <= 1 + runs / 10);
}

TEST_CASE("intervals of effects hold the true effect in about 95 % of the cases" * doctest::test_suite("slow")) {
  std::mt19937_64 bits{6};
  std::normal_distribution<double> normal;
  for (const std::vector<std::size_t>& texts : {std::vector<std::size_t>{8, 8, 8, 8}, {18, 17, 4, 5}, {200, 300}}) {
    const text_groups groups{texts};
    const std::size_t ffn = 4000;
    const auto sums = made_up(groups, ffn, [&](std::size_t c, std::size_t, std::size_t n) {
      return normal(bits) + (c == 1 ? static_cast<double>(n % 4) / 2 : 0);
    });
    const std::size_t first = sums.units().first(unit_kind::neuron, 0);
    const auto g = effect_sizes(sums, groups, 1, unit_statistic::mean);
    const auto at = jackknife_intervals(sums, groups, 1, unit_statistic::mean, g);
    double inside = 0, width = 0;
    for (std::size_t n = 0; n < ffn; ++n) {
      const double real = static_cast<double>(n % 4) / 2;
      inside += at.low[first + n] <= real && real <= at.high[first + n];
      width += (at.high[first + n] - at.low[first + n]) / static_cast<double>(ffn);
    }
    MESSAGE("of 4,000 " << inside << " inside, width " << width);
    CHECK(inside > 0.925 * static_cast<double>(ffn));
    CHECK(inside < 0.985 * static_cast<double>(ffn));
  }
}

TEST_CASE("effects of two halves are those of their texts alone") {
  std::mt19937_64 bits{8};
  const text_groups groups{{6, 5}}, even{{3, 3}}, odd{{3, 2}};
  std::vector<double> values(11 * 3);
  for (double& each : values) each = static_cast<double>(bits() >> 40);
  const auto value = [&](std::size_t c, std::size_t t, std::size_t n) { return values[(c * 6 + t) * 3 + n]; };
  const auto whole = made_up(groups, 3, value);
  for (const std::size_t half : {0u, 1u}) {
    const text_groups& own = half == 0 ? even : odd;
    const auto alone =
        made_up(own, 3, [&](std::size_t c, std::size_t t, std::size_t n) { return value(c, 2 * t + half, n); });
    const auto expected = effect_sizes(alone, own, 1, unit_statistic::mean);
    const auto found = effect_sizes_of_half(whole, groups, 1, unit_statistic::mean, half);
    const std::size_t first = whole.units().first(unit_kind::neuron, 0);
    for (std::size_t n = 0; n < 3; ++n) CHECK_EQ(found[first + n], doctest::Approx(expected[first + n]));
  }
  const text_groups few{{3, 1}};
  const auto none = effect_sizes_of_half(made_up(few, 1, value), few, 0, unit_statistic::mean, 1);
  CHECK(std::isnan(none[3 + 1]));
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
