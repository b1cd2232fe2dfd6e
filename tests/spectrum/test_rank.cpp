// SPDX-License-Identifier: MIT
// Rank notions, kinks and the tight pass on spectra whose answers are known.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optscope/spectrum/kink.hpp>
#include <optscope/spectrum/rank.hpp>
#include <optscope/spectrum/spectra_plan.hpp>
#include <optscope/spectrum/tight_pass.hpp>
#include <optscope/spectrum/width.hpp>
#include <random>
#include <spectrum/known_spectrum.hpp>
#include <string>
#include <vector>

using namespace optscope;

namespace {

spectrum of(std::vector<double> values, double floor = 1e-14) {
  spectrum result;
  result.size = values.size();
  result.values = std::move(values);
  result.method = "test";
  result.floor = floor;
  return result;
}

}  // namespace

TEST_CASE("equal values have every rank equal to their number") {
  std::vector<double> values(90, 2.5);
  values.resize(100);
  const rank_notions ranks = ranks_of(of(values), 10);
  CHECK(ranks.size == 100);
  CHECK(ranks.bound == 90);
  CHECK(ranks.counts == std::array<std::size_t, 3>{90, 90, 90});
  CHECK(ranks.well_determined);
  CHECK(ranks.decades.front() == 90);
  CHECK(ranks.decades.back() == 90);
  CHECK(ranks.stable_rank == doctest::Approx(90));
  CHECK(ranks.effective_rank == doctest::Approx(90));
  CHECK(ranks.participation_ratio == doctest::Approx(90));
  CHECK(ranks.energy_ranks == std::array<std::size_t, 3>{81, 90, 90});
}

TEST_CASE("rank notions of a small spectrum by hand") {
  const rank_notions ranks = ranks_of(of({4, 2, 1, 1}));
  CHECK(ranks.stable_rank == doctest::Approx(22.0 / 16));
  CHECK(ranks.participation_ratio == doctest::Approx(22.0 * 22 / (256 + 16 + 1 + 1)));
  CHECK(ranks.effective_rank == doctest::Approx(std::exp(0.5 * std::log(2) + 0.25 * std::log(4) + 0.25 * std::log(8))));
  CHECK(ranks.energy_ranks == std::array<std::size_t, 3>{2 + 0, 4, 4});
  CHECK(ranks.decades.front() == 4);
}

TEST_CASE(
    "the floor is calibrated by values that must be zero, and counts around it say whether the rank is determined") {
  std::vector<double> clear = log_uniform(1000, 1, 1e-3), smooth = log_uniform(1000, 1, 1e-13);
  for (auto* values : {&clear, &smooth}) values->insert(values->end(), {3e-12, 2e-12, 1e-12});
  std::sort(smooth.begin(), smooth.end(), std::greater<>{});
  const rank_notions certain = ranks_of(of(clear), 3);
  CHECK(certain.calibrated);
  CHECK(certain.floor == doctest::Approx(3e-11));
  CHECK(certain.counts == std::array<std::size_t, 3>{1000, 1000, 1000});
  CHECK(certain.well_determined);
  const rank_notions doubtful = ranks_of(of(smooth, 1e-8), 3);
  CHECK(doubtful.floor == 1e-8);
  CHECK_FALSE(doubtful.calibrated);
  CHECK_FALSE(doubtful.well_determined);
  CHECK(doubtful.counts[0] > doubtful.counts[1]);
  CHECK(doubtful.counts[1] == 615);  // 1000 * 8 / 13, rounded down
}

TEST_CASE("all zeros, one value, and spectra that are not whole") {
  const rank_notions nothing = ranks_of(of({0, 0, 0}), 3);
  CHECK(nothing.effective_rank == 0);
  CHECK(nothing.counts == std::array<std::size_t, 3>{0, 0, 0});
  CHECK(nothing.bound == 0);
  CHECK(ranks_of(of({7})).effective_rank == doctest::Approx(1));
  spectrum part = of({3, 2});
  part.size = 10;
  CHECK_THROWS_WITH_AS(static_cast<void>(ranks_of(part)), doctest::Contains("2 of 10 values by test"), bad_input);
  CHECK_THROWS_AS(static_cast<void>(ranks_of(of({1, 2}))), bad_input);
  CHECK_THROWS_AS(static_cast<void>(ranks_of(of({2, 1}), 3)), bad_input);
}

TEST_CASE("a gap is found with its place and is improbable; a smooth spectrum has none") {
  std::vector<double> values = log_uniform(700, 1, 1e-2);
  for (const double value : log_uniform(300, 1e-3, 1e-4)) values.push_back(value);
  const auto gap = widest_gap(values, 1e-12);
  REQUIRE(gap);
  CHECK(gap->count == 700);
  CHECK(gap->decades == doctest::Approx(1).epsilon(1e-9));
  CHECK(gap->runner_up < 0.01);
  CHECK(gap->chance < 1e-11);
  CHECK_FALSE(widest_gap(log_uniform(1000, 1, 1e-4), 1e-12));
  CHECK_FALSE(widest_gap(values, 5e-3));  // below the floor
  CHECK_FALSE(widest_gap(std::vector<double>{1}, 1e-12));
  std::vector<double> outlier = log_uniform(1000, 1, 0.1);  // a gap after the first of 1001 is at the edge
  outlier.insert(outlier.begin(), 100);
  CHECK_FALSE(widest_gap(outlier, 1e-12));
  // Random spacings: as wide a gap as this one comes about by chance.
  std::mt19937 random{3};
  std::exponential_distribution<double> spacing{20};
  std::vector<double> chance{1};
  while (chance.size() < 1000) chance.push_back(chance.back() * std::pow(10, -spacing(random)));
  const auto found = widest_gap(chance, 0);
  REQUIRE(found);
  CHECK(found->chance > 0.01);
}

TEST_CASE(
    "independent draws from smooth densities, bounded or not, show an improbable gap in at most 5 % of the cases") {
  std::mt19937_64 random{17};
  std::normal_distribution<double> normal;
  std::uniform_real_distribution<double> uniform;
  for (int density = 0; density < 3; ++density) {
    for (const std::size_t size : {40u, 150u, 600u}) {
      std::size_t improbable = 0, known = 0;
      constexpr std::size_t runs = 200;
      for (std::size_t run = 0; run < runs; ++run) {
        std::vector<double> values(size);
        for (double& each : values) {
          each = density == 0 ? uniform(random) : density == 1 ? normal(random) / 5 : std::log(uniform(random)) / 5;
          each = std::pow(10, 100 * each);
        }
        std::ranges::sort(values, std::greater{});
        const auto gap = widest_gap(values, 0);
        known += gap.has_value();
        improbable += gap && gap->chance <= 0.05;
      }
      CHECK(known > runs / 2);
      CHECK(improbable <= 19);  // of 200 expected at most 10
    }
  }
}

TEST_CASE("a bend is found where two lines meet") {
  std::vector<double> values = log_uniform(601, 1, 1e-1);
  for (std::size_t i = 1; i <= 400; ++i) values.push_back(0.1 * std::pow(10, -0.01 * static_cast<double>(i)));
  const auto bend = strongest_bend(values, 1e-12);
  REQUIRE(bend);
  CHECK(std::abs(static_cast<double>(bend->count) - 600) <= 4);
  CHECK(bend->slope_before == doctest::Approx(-1.0 / 600).epsilon(0.02));
  CHECK(bend->slope_after == doctest::Approx(-0.01).epsilon(0.02));
  CHECK(bend->explained > 0.99);
  CHECK(bend->misfit < 0.01);
  const auto straight = strongest_bend(log_uniform(1000, 1, 1e-3), 1e-12);
  REQUIRE(straight);
  CHECK(straight->slope_after == doctest::Approx(straight->slope_before).epsilon(1e-6));
  CHECK_FALSE(strongest_bend(std::vector<double>{3, 2, 1}, 0));
}

TEST_CASE("the tight pass is the strict minimum of effective rank over bound") {
  std::vector<rank_notions> layers(5);
  for (std::size_t i = 0; i < 5; ++i) {
    layers[i].bound = 100;
    layers[i].effective_rank = std::array{80.0, 60.0, 30.0, 45.0, 90.0}[i];
  }
  auto pass = find_tight_pass(layers);
  REQUIRE(pass);
  CHECK(pass->layer == 2);
  CHECK(pass->share == doctest::Approx(0.3));
  CHECK(pass->margin == doctest::Approx(0.5));
  CHECK(pass->inside);
  layers[4].bound = 1000;
  pass = find_tight_pass(layers);
  CHECK(pass->layer == 4);
  CHECK_FALSE(pass->inside);
  layers[0] = layers[4];
  CHECK_FALSE(find_tight_pass(layers));
  CHECK_FALSE(find_tight_pass(std::span{layers}.first(1)));
}

namespace {

/// Spectra of attention at one token with the given effective ranks: [text][layer], of at most 999.
struct made_up_widths {
  static constexpr std::size_t hidden = 1000;
  std::vector<std::vector<block_spectrum>> spectra{};  // [text][layer]

  /// `ranks` of one more text; whole numbers.
  void add(const std::vector<double>& ranks) {
    auto& layers = spectra.emplace_back();
    for (std::size_t l = 0; l < ranks.size(); ++l) {
      block_spectrum& each = layers.emplace_back();
      each.of = {.layer = l, .text = spectra.size(), .tokens = 1};
      each.found.size = hidden;
      each.found.values.assign(hidden, 0);
      std::fill_n(each.found.values.begin(), static_cast<std::ptrdiff_t>(ranks[l]), 1);
    }
  }
  [[nodiscard]] layer_widths compared() const {
    std::vector<std::vector<const block_spectrum*>> texts;
    for (const auto& layers : spectra) {
      auto& of = texts.emplace_back();
      for (const block_spectrum& each : layers) of.push_back(&each);
    }
    return widths_over_layers(texts, hidden);
  }
};

}  // namespace

TEST_CASE("a layer stands out by what is wider at the same text, whatever the order of texts") {
  made_up_widths found;
  // Texts differ three times as much as layers 1 and 2 do, but layer 1 is narrower by 10 % at each.
  for (const double text : {200.0, 300.0, 400.0, 600.0}) found.add({text * 1.5, text * 0.9, text, text * 1.2});
  const layer_widths first = found.compared();
  CHECK_EQ(first.narrowest.value(), 1);
  CHECK_EQ(first.next.value(), 2);
  CHECK(first.margin == doctest::Approx(1 / 0.9 - 1));
  CHECK(first.low.value() == doctest::Approx(first.margin).epsilon(0.01));
  CHECK(first.stands_out.value());
  CHECK(first.inside);
  CHECK_EQ(first.narrowest_at, 4);
  CHECK(first.verdict.find("so layer 1 stands out") != std::string::npos);
  std::ranges::reverse(found.spectra);
  const layer_widths reversed = found.compared();
  CHECK_EQ(reversed.narrowest, first.narrowest);
  CHECK(reversed.low.value() == doctest::Approx(first.low.value()));

  // The first text alone is clear; over all of them layers 1 and 2 are alike.
  made_up_widths unclear;
  for (const double of_first : {200.0, 380.0, 290.0, 330.0, 270.0}) unclear.add({500, of_first, 300, 600});
  const layer_widths alike = unclear.compared();
  CHECK_FALSE(alike.stands_out.value());
  CHECK(alike.low.value() < 0);
  CHECK(alike.verdict.find("does not stand out") != std::string::npos);
  // By hand: Student's interval (4 degrees of freedom) of the mean of log(300 / width).
  double mean = 0, squares = 0;
  for (const double width : {200.0, 380.0, 290.0, 330.0, 270.0}) mean += std::log(300 / width) / 5;
  for (const double width : {200.0, 380.0, 290.0, 330.0, 270.0}) squares += std::pow(std::log(300 / width) - mean, 2);
  CHECK(alike.high.value() == doctest::Approx(std::expm1(mean + 2.77645 * std::sqrt(squares / 20))).epsilon(1e-3));
  unclear.spectra.resize(2);
  for (int copies = 0; copies < 3; ++copies) unclear.spectra.push_back(unclear.spectra[1]);  // are no more texts
  CHECK_EQ(unclear.compared().of_texts.size(), 2);
  CHECK_FALSE(unclear.compared().stands_out);
  CHECK(unclear.compared().verdict.find("Three texts or more") != std::string::npos);
}

TEST_CASE("of layers that are equally wide, one stands out in at most 5 % of the cases" * doctest::test_suite("long")) {
  std::mt19937_64 bits{5};
  std::normal_distribution<double> normal;
  for (const std::size_t layers : {2u, 4u}) {
    constexpr std::size_t runs = 300;
    std::size_t found = 0;
    for (std::size_t run = 0; run < runs; ++run) {
      made_up_widths made;
      for (int text = 0; text < 5; ++text) {
        std::vector<double> ranks;
        const double of_text = 60 * std::exp(0.2 * normal(bits));
        for (std::size_t l = 0; l < layers; ++l) ranks.push_back(std::round(of_text * std::exp(0.1 * normal(bits))));
        made.add(ranks);
      }
      found += made.compared().stands_out.value_or(false);
    }
    CHECK_MESSAGE(found <= (layers == 2 ? 28 : 22), layers);  // of 300; 15 expected of two, fewer of four
    if (layers == 2) CHECK(found >= 5);
  }
}

TEST_CASE("a plan over texts has every layer at every text, each spectrum once, named by what it is") {
  const planned_spectra found = spectra_of({.blocks = {block_kind::attention, block_kind::mlp},
                                            .layers = {0, 2},
                                            .texts = {3, 1},
                                            .lengths = {2, 4},
                                            .at = 2,
                                            .tokens = 4});
  CHECK_EQ(found.requests.size(), 2 * 5);
  std::vector<std::string> names;
  for (const block_request& each : found.requests) names.push_back(each.name);
  CHECK_EQ(std::vector<std::string>(names.begin(), names.begin() + 5),
           std::vector<std::string>{"attn-0", "attn-2", "attn-2-length-2", "attn-2-text-1", "attn-0-text-1"});
  CHECK_EQ(found.widths[0], std::vector<std::vector<std::size_t>>{{0, 1}, {4, 3}});
  CHECK_EQ(found.lengths[0], std::vector<std::size_t>{2, 1});
  CHECK(found.compared(3));
  CHECK_FALSE(found.compared(4));
  CHECK(spectra_of({.blocks = {block_kind::mlp}, .layers = {2}, .texts = {3, 1}, .at = 2, .tokens = 4})
            .widths[0]
            .empty());
}
