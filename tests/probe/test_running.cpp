// SPDX-License-Identifier: MIT
#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <compare.hpp>
#include <cstdint>
#include <filesystem>
#include <optscope/checkpoint/safetensors.hpp>
#include <optscope/checkpoint/safetensors_writer.hpp>
#include <optscope/probe/running.hpp>
#include <optscope/probe/running_moments.hpp>
#include <optscope/probe/running_quantiles.hpp>
#include <optscope/probe/running_top.hpp>
#include <random>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "count_memory.hpp"
#include "temporary_folder.hpp"

using namespace optscope;

namespace {

const architecture running_shape{.layers = 2, .hidden = 6, .heads = 3, .ffn = 8, .embed_dim = 6, .vocabulary = 9};

/// (vector, unit) Far from zero, so that a sum of squares would lose digits.
tensor<float, 2> random_rows(std::size_t rows, std::size_t width, std::uint32_t seed) {
  std::mt19937 bits{seed};
  tensor<float, 2> values{{rows, width}};
  for (std::size_t i = 0; i < values.size(); ++i) {
    values.data()[i] = 1000 + static_cast<float>(bits() % 4096) / 256 * static_cast<float>(1 + i % width);
  }
  return values;
}

template <class Statistic>
Statistic of_rows(tensor_view<const float, 2> rows, std::size_t first, std::size_t last, Statistic statistic = {}) {
  statistic.start(rows.cols());
  for (std::size_t row = first; row < last; ++row) statistic.add(rows.row(row), row / 10, row % 10);
  return statistic;
}

void close(const std::vector<double>& found, const std::vector<double>& expected) {
  check_close<double, double>(found, expected, 1e-12, "running");
}

}  // namespace

TEST_CASE("moments and covariance are those of plain loops over all rows, merged from parts or not") {
  constexpr std::size_t n = 1000, width = 7;
  const tensor<float, 2> rows = random_rows(n, width, 1);
  std::vector<double> mean(width), variance(width), least(width, 1e9), most(width), covariance(width * width);
  for (std::size_t row = 0; row < n; ++row) {
    for (std::size_t i = 0; i < width; ++i) mean[i] += rows(row, i) / double{n};
  }
  for (std::size_t row = 0; row < n; ++row) {
    for (std::size_t i = 0; i < width; ++i) {
      least[i] = std::min(least[i], double{rows(row, i)});
      most[i] = std::max(most[i], double{rows(row, i)});
      for (std::size_t j = 0; j < width; ++j) {
        covariance[i * width + j] += (rows(row, i) - mean[i]) * (rows(row, j) - mean[j]) / double{n};
      }
    }
  }
  for (std::size_t i = 0; i < width; ++i) variance[i] = covariance[i * width + i];
  for (const std::size_t cut : {0u, 1u, 400u, 999u, 1000u}) {
    auto moments = of_rows<running_moments>(rows, 0, cut);
    moments.merge(of_rows<running_moments>(rows, cut, n));
    CHECK_EQ(moments.count(), n);
    close(moments.mean(), mean);
    close(moments.variance(), variance);
    CHECK_EQ(moments.min(), least);
    CHECK_EQ(moments.max(), most);
    CHECK(std::abs(moments.variance(1)[2] * (n - 1) / n - variance[2]) < 1e-9);
    auto pairs = of_rows<running_covariance>(rows, 0, cut);
    pairs.merge(of_rows<running_covariance>(rows, cut, n));
    const tensor<double, 2> found = pairs.covariance();
    close({found.data(), found.data() + found.size()}, covariance);
    close(pairs.mean(), mean);
    moments.reset();
    CHECK_EQ(moments.count(), 0);
    moments.merge(of_rows<running_moments>(rows, 0, n));
    CHECK_EQ(moments.mean(), of_rows<running_moments>(rows, 0, n).mean());
  }
}

TEST_CASE("the largest values are found with their places, earlier ones first, merged from parts or not") {
  constexpr std::size_t n = 500, width = 5, k = 4;
  tensor<float, 2> rows = random_rows(n, width, 2);
  rows(17, 3) = std::nanf("");
  for (std::size_t row = 0; row < n; ++row) rows(row, 4) = static_cast<float>(row % 50);  // every value ten times
  for (const std::size_t cut : {0u, 2u, 250u}) {
    auto top = of_rows(rows, 0, cut, running_top{k});
    top.merge(of_rows(rows, cut, n, running_top{k}));
    for (std::size_t unit = 0; unit < width; ++unit) {
      std::vector<std::pair<double, std::size_t>> all;
      for (std::size_t row = 0; row < n; ++row) {
        if (!std::isnan(rows(row, unit))) all.emplace_back(-double{rows(row, unit)}, row);
      }
      std::ranges::sort(all);
      for (std::size_t i = 0; i < k; ++i) {
        CHECK_EQ(top(unit)[i].value, -all[i].first);
        CHECK_EQ(top(unit)[i].text, all[i].second / 10);
        CHECK_EQ(top(unit)[i].position, all[i].second % 10);
      }
    }
  }
  const auto few = of_rows(rows, 0, 2, running_top{k});
  CHECK_EQ(few(0)[2].text, running_top::none);
}

namespace {

/// The largest distance of a quantile's rank from where it should be, as a share of the count.
double worst_rank(const quantile_sketch& sketch, std::vector<double> values) {
  std::ranges::sort(values);
  double worst = 0;
  const auto n = static_cast<double>(values.size());
  for (int percent = 1; percent < 100; ++percent) {
    const double found = sketch.quantile(percent / 100.0);
    const auto [low, high] = std::equal_range(values.begin(), values.end(), found);
    REQUIRE(low != high);  // it is one of the stream
    const double first = static_cast<double>(low - values.begin()), last = static_cast<double>(high - values.begin());
    worst = std::max({worst, first / n - percent / 100.0, percent / 100.0 - last / n});
  }
  return worst;
}

}  // namespace

TEST_CASE("a sketch's quantiles have ranks within the stated error, in any order of the stream, merged or not") {
  std::mt19937_64 bits{3};
  std::size_t beyond = 0, trials = 0;
  for (int trial = 0; trial < 24; ++trial) {
    constexpr std::size_t n = 20000;
    std::vector<double> values(n);
    for (std::size_t i = 0; i < n; ++i)
      values[i] = trial % 6 == 5 ? static_cast<double>(i % 7) : std::ldexp(bits(), -60);
    if (trial % 3 == 1) std::ranges::sort(values);
    if (trial % 3 == 2 && trial % 6 != 5) std::ranges::sort(values, std::greater{});
    quantile_sketch whole, merged;
    for (const double value : values) whole.add(value);
    for (std::size_t part = 0; part < 10; ++part) {
      quantile_sketch some;
      for (std::size_t i = part * part * n / 100; i < (part + 1) * (part + 1) * n / 100; ++i) some.add(values[i]);
      merged.merge(some);
    }
    for (const quantile_sketch* each : {&whole, &merged}) {
      CHECK_EQ(each->count(), n);
      CHECK(each->size() < 800);
      const double worst = worst_rank(*each, values);
      CHECK(worst < 2 * each->rank_error());
      beyond += worst > each->rank_error();  // of 99 quantiles at once
      ++trials;
    }
  }
  MESSAGE(beyond << " of " << trials << " sketches have one of 99 quantiles beyond " << quantile_sketch{}.rank_error());
  CHECK(beyond <= trials / 10);
  quantile_sketch few;
  CHECK(std::isnan(few.quantile(0.5)));
  for (const double value : {3.0, std::nan(""), 1.0, 2.0}) few.add(value);
  CHECK_EQ(few.count(), 3);
  CHECK_EQ(few.quantile(0), 1);
  CHECK_EQ(few.quantile(0.5), 2);
  CHECK_EQ(few.quantile(1), 3);
}

TEST_CASE("the ends of a stream are exact however many numbers there are, merged and restored or not") {
  std::mt19937_64 bits{5};
  std::normal_distribution<double> normal;
  quantile_sketch whole, merged;
  double low = 0;
  for (int part = 0; part < 4; ++part) {
    quantile_sketch some;
    for (int i = 0; i < 50000; ++i) {
      const double value = part == 1 && i == 20000 ? 1e6 : normal(bits);
      low = std::min(low, value);
      whole.add(value);
      some.add(value);
    }
    merged.merge(some);
  }
  std::vector<double> numbers, weights;
  whole.for_each([&](double number, double weight) {
    numbers.push_back(number);
    weights.push_back(weight);
  });
  quantile_sketch restored;
  restored.restore(numbers, weights, whole.quantile(0), whole.quantile(1));
  for (const quantile_sketch* each : {&std::as_const(whole), &std::as_const(merged), &std::as_const(restored)}) {
    CHECK_EQ(each->quantile(0), low);
    CHECK_EQ(each->quantile(1), 1e6);
    CHECK(each->quantile(0.99) < 3);
  }
}

TEST_CASE(
    "the percentiles of few numbers are exact: of 1 to 100, p % is p; of any number, the smallest with that share") {
  for (const int n : {100, 200, 50, 7, 150}) {
    quantile_sketch sketch;
    for (int i = n; i > 0; --i) sketch.add(i);
    for (int percent = 0; percent <= 100; ++percent) {
      CHECK_EQ(sketch.quantile(percent / 100.0), std::max(1, (percent * n + 99) / 100));
    }
  }
}

TEST_CASE("adding allocates nothing") {
  const tensor<float, 2> rows = random_rows(20000, 3, 4);
  running_moments moments;
  running_covariance pairs;
  running_top top{5};
  running_quantiles quantiles;
  moments.start(3), pairs.start(3), top.start(3), quantiles.start(3);
  const std::size_t before = memory::allocations;
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    moments.add(rows.row(row), 0, row);
    pairs.add(rows.row(row), 0, row);
    top.add(rows.row(row), 0, row);
    quantiles.add(rows.row(row), 0, row);
  }
  CHECK_EQ(memory::allocations, before);
}

TEST_CASE("a running observer takes chosen layers and positions, counts texts over runs, and saves its state") {
  using observer = running<running_top, site::z, site::ln_final>;
  observer probe{running_top{2}, positions::these({0, 3})}, other{running_top{2}, positions::these({0, 3})};
  probe.only_layers({1});
  other.only_layers({1});
  CHECK_FALSE(probe.wants(site::z{}, 0));
  observer beyond{running_top{2}};
  beyond.only_layers({99});
  CHECK_THROWS_AS(beyond.begin({running_shape, {3}}), bad_input);
  const auto run = [&](observer& to, const run_plan& plan) {
    to.begin(plan);
    for (std::size_t text = 0; text < plan.lengths.size(); ++text) {
      if (plan.lengths[text] == 0) continue;
      tensor<float, 3> z{{plan.lengths[text], 3, 2}};
      for (std::size_t i = 0; i < z.size(); ++i) {
        z.data()[i] = static_cast<float>(100 * text + 10 * plan.first_position(text) + i);
      }
      to(site::z{}, place{text, 1, plan.first_position(text)}, tensor_view<const float, 3>{z});
    }
  };
  run(probe, {running_shape, {2, 5}});
  const auto best = [](const observer& of, std::size_t i) { return of(site::z{}, 1)(5)[i]; };  // head 2, unit 1
  CHECK_EQ(best(probe, 0).value, 100 + 3 * 6 + 5);
  CHECK_EQ(best(probe, 0).text, 1);
  CHECK_EQ(best(probe, 0).position, 3);
  CHECK_EQ(best(probe, 1).value, 105);
  run(probe, {.shape = running_shape, .lengths = {2, 0}, .cached = {2, 5}, .continues = true});  // position 3 of text 0
  CHECK_EQ(probe.texts(), 2);
  run(other, {running_shape, {9, 9, 9}});
  CHECK_EQ(best(other, 0).text, 2);
  probe.merge(other);
  CHECK_EQ(probe.texts(), 5);
  CHECK_EQ(best(probe, 0).text, 4);
  CHECK_EQ(best(probe, 0).value, 223);

  const temporary_folder folder;
  const std::filesystem::path file = folder / "running.safetensors";
  probe.save<safetensors_writer>(file);
  const tensor_table table = read_safetensors(file.string());
  CHECK_EQ(table.tensors.size(), 7);
  const stored_tensor& texts = table.tensors.at("z.1.text");
  CHECK_EQ(texts.shape(), std::vector<std::size_t>{6, 2});
  std::vector<double> values(texts.size());
  texts.copy_to(values.data());
  CHECK_EQ(values[10], 4);
  table.tensors.at("ln_final.position").copy_to(values.data());
  CHECK_EQ(values[0], -1);
  observer loaded{running_top{2}, positions::these({0, 3})};
  loaded.only_layers({1});
  loaded.load(table, running_shape);
  CHECK_EQ(loaded.texts(), 5);
  CHECK_EQ(best(loaded, 0).text, 4);
  CHECK_EQ(best(loaded, 1).value, best(probe, 1).value);
  observer of_all{running_top{2}};
  CHECK_THROWS_WITH_AS(of_all.load(table, running_shape),
                       "tensor z.0.value: expected saved statistics, found no such tensor", bad_input);
  CHECK_EQ(of_all.texts(), 0);

  probe.reset();
  CHECK_EQ(probe.texts(), 0);
  CHECK_EQ(best(probe, 0).text, running_top::none);
  architecture wider = running_shape;
  wider.hidden = 12;
  CHECK_THROWS_AS(probe.begin({wider, {1}}), bad_input);
}

TEST_CASE("statistics that there are not are refused by name, not read") {
  running<running_moments, site::z, site::ln_final> probe;
  const auto message = [&](auto site, std::size_t layer) -> std::string {
    try {
      static_cast<void>(probe(site, layer));
    } catch (const bad_input& e) {
      return e.what();
    }
    return "read";
  };
  CHECK_EQ(message(site::z{}, 0), "running statistics of z: expected a run before they are read, found none");
  CHECK_EQ(probe.layers(site::z{}), 0);
  CHECK_FALSE(probe.keeps(site::z{}, 0));
  probe.only_layers({1});
  probe.begin({running_shape, {3}});
  CHECK_EQ(message(site::z{}, 1), "read");
  CHECK_EQ(message(site::ln_final{}, 0), "read");
  CHECK_EQ(probe.layers(site::z{}), 2);
  CHECK_EQ(message(site::z{}, 0),
           "running statistics of z: expected a layer that is kept, found 0, which only_layers() left out");
  CHECK_EQ(message(site::z{}, 2), "running statistics of z: expected a layer below 2, found 2");
  CHECK_EQ(message(site::ln_final{}, 1), "running statistics of ln_final: expected a layer below 1, found 1");
  running<running_top, site::z> top{running_top{2}};
  running<running_quantiles, site::z> quantiles;
  top.begin({running_shape, {3}});
  quantiles.begin({running_shape, {3}});
  const char* const expected = "running statistics: expected a unit below 6, found 6";
  CHECK_THROWS_WITH_AS(static_cast<void>(top(site::z{}, 1)(6)), expected, bad_input);
  CHECK_THROWS_WITH_AS(static_cast<void>(quantiles(site::z{}, 1)(6)), expected, bad_input);
}

TEST_CASE_TEMPLATE("saved statistics continue as if they had never been interrupted", Statistic, running_moments,
                   running_covariance, running_quantiles, running_top) {
  using observer = running<Statistic, site::mlp_out>;
  const tensor<float, 2> rows = random_rows(3000, 6, 11);
  const auto run = [&](observer& to, std::size_t first, std::size_t count) {
    to.begin({running_shape, {count}});
    for (std::size_t layer = 0; layer < 2; ++layer) {
      to(site::mlp_out{}, place{0, layer, 0},
         tensor_view<const float, 2>{rows.row(first).data(), {count, std::size_t{6}}});
    }
  };
  observer whole, saved, loaded;
  run(whole, 0, 2000);
  run(whole, 2000, 1000);
  run(saved, 0, 2000);
  const temporary_folder folder;
  const std::filesystem::path file = folder / "saved.safetensors";
  saved.template save<safetensors_writer>(file);
  loaded.load(read_safetensors(file), running_shape);
  run(loaded, 2000, 1000);
  CHECK_EQ(loaded.texts(), 2);

  std::vector<std::vector<double>> expected;
  whole.for_each_tensor([&](const std::string&, const auto&, std::span<const double> values) {
    expected.emplace_back(values.begin(), values.end());
  });
  std::size_t tensors = 0;
  loaded.for_each_tensor([&](const std::string& name, const auto&, std::span<const double> values) {
    const std::vector<double>& of_whole = expected.at(tensors++);
    if constexpr (std::is_same_v<Statistic, running_quantiles>) {
      if (name.find("percentile") == std::string::npos) return;  // other draws, the same error
      for (std::size_t unit = 0; unit < 6; ++unit) {
        std::vector<double> sorted;
        for (std::size_t row = 0; row < rows.rows(); ++row) sorted.push_back(static_cast<double>(rows(row, unit)));
        std::ranges::sort(sorted);
        for (std::size_t percent = 1; percent < 100; ++percent) {
          const double value = values[unit * 101 + percent];
          const auto below = std::ranges::lower_bound(sorted, value) - sorted.begin();
          const auto above = std::ranges::upper_bound(sorted, value) - sorted.begin();
          const double rank = 30.0 * static_cast<double>(percent);
          CHECK_MESSAGE((static_cast<double>(below) < rank + 60 && static_cast<double>(above) > rank - 60), name);
        }
      }
    } else {
      check_close<double, double>(values, of_whole, 1e-12, name);
    }
  });
  CHECK_EQ(tensors, expected.size());
}

TEST_CASE("saved statistics of another kind or broken ones are refused, and nothing changes") {
  quantile_sketch sketch;
  sketch.add(4);
  const std::vector<double> numbers{1, 2, 3};
  for (const std::vector<double>& weights :
       {std::vector<double>{1, 2, 1}, {3, 1, 1}, {0.5, 0.5, 0.5}, {4, -1, 1}, {std::ldexp(1.0, 60), 1, 1}}) {
    CHECK_THROWS_AS(sketch.restore(numbers, weights, 1, 3), bad_input);
  }
  CHECK_THROWS_AS(sketch.restore(numbers, std::vector<double>{4, 1, 1}, 2, 3), bad_input);
  sketch.restore(numbers, std::vector<double>{4, 1, 1}, 1, 3);
  CHECK_EQ(sketch.count(), 6);
  CHECK_EQ(sketch.quantile(0.5), 1);
  CHECK_EQ(sketch.quantile(1), 3);
  CHECK_EQ(detail::saved_count(12), 12);
  CHECK_THROWS_AS((void)detail::saved_count(-1), bad_input);
  CHECK_THROWS_AS((void)detail::saved_count(std::nan("")), bad_input);
}
