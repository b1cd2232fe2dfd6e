// SPDX-License-Identifier: MIT
// Quadrature, largest values, per-token and automatic analysers against matrices of known spectrum.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <compare.hpp>
#include <numeric>
#include <optscope/spectrum/automatic.hpp>
#include <optscope/spectrum/block_vectors.hpp>
#include <optscope/spectrum/largest.hpp>
#include <optscope/spectrum/rank.hpp>
#include <optscope/spectrum/token_null_space.hpp>
#include <spectrum/known_spectrum.hpp>

using namespace optscope;

namespace {

template <class T>
tensor<T, 2> rounded(const tensor<double, 2>& matrix) {
  tensor<T, 2> result{matrix.shape()};
  std::transform(matrix.data(), matrix.data() + matrix.size(), result.data(),
                 [](double v) { return static_cast<T>(v); });
  return result;
}

double count_above(const std::vector<double>& values, double threshold) {
  return static_cast<double>(std::count_if(values.begin(), values.end(), [=](double v) { return v > threshold; }));
}

/// Every count down to the resolution limit within its stated error, and, from four times the limit on, within `most`
/// of the size.
void check_counts(const spectrum& found, const std::vector<double>& values, double most) {
  REQUIRE(found.density);
  const double n = static_cast<double>(values.size()), top = values.front();
  for (double t = 0.93 * top; t > found.density->resolution_limit(); t *= 0.7) {
    const spectral_count count = found.density->above(t);
    CAPTURE(t);
    CAPTURE(count.count);
    CAPTURE(count.sampling);
    CAPTURE(count.resolution);
    CHECK(std::abs(count.count - count_above(values, t)) <= count.resolution + 4 * count.sampling + 1e-6 * n);
    if (t > 4 * found.density->resolution_limit()) {
      CHECK(std::abs(count.count - count_above(values, t)) <= most * n);
    }
  }
}

}  // namespace

TEST_CASE("quadrature counts a log-uniform spectrum within its stated error" * doctest::test_suite("long")) {
  const std::vector<double> values = log_uniform(1500, 1, 1e-3);
  const tensor<float, 2> matrix = rounded<float>(matrix_with(1500, 1500, values));
  matrix_operator<float> op{matrix};
  const spectrum found = lanczos_quadrature{{{}, 60, 8}}(op);
  CHECK(found.outcome == spectrum_outcome::complete);
  CHECK(found.density->dimension == 1500);
  check_counts(found, values, 0.04);
  spectrum all;
  all.values = values;
  all.size = values.size();
  const rank_notions ranks = ranks_of(all);
  const sampled_value effective = found.density->effective_rank(), stable = found.density->stable_rank(),
                      ratio = found.density->participation_ratio();
  CHECK(std::abs(effective.value / ranks.effective_rank - 1) < 0.03);
  CHECK(std::abs(stable.value / ranks.stable_rank - 1) < 0.1);
  CHECK(std::abs(ratio.value / ranks.participation_ratio - 1) < 0.1);
  CHECK(std::abs(effective.value - ranks.effective_rank) <= effective.error());
  CHECK(effective.resolution < 0.2 * ranks.effective_rank);
  const auto energy = found.density->energy_rank(0.99);
  CHECK(std::abs(energy.value / static_cast<double>(ranks.energy_ranks[1]) - 1) < 0.05);
}

TEST_CASE("errors of sampling are those that other random vectors show, from two probes too" *
          doctest::test_suite("long")) {
  const std::vector<double> values = log_uniform(400, 1, 0.05);
  const tensor<double, 2> matrix = matrix_with(400, 400, values);
  matrix_operator<double> op{matrix};
  spectrum all;
  all.values = values;
  all.size = values.size();
  const rank_notions ranks = ranks_of(all);
  constexpr std::size_t kinds = 5;
  std::array<double, kinds> squares{};  // of deviation / error
  const int runs = 100;
  for (int run = 0; run < runs; ++run) {
    quadrature_settings settings{{}, 60, 2, 0, static_cast<std::uint64_t>(1 + run)};
    settings.threads = 1;
    const spectral_density density = *lanczos_quadrature{settings}(op).density;
    const spectral_count count = density.above(0.3);
    const std::array<sampled_value, kinds> found{sampled_value{count.count, count.sampling, 0},
                                                 density.effective_rank(), density.stable_rank(),
                                                 density.participation_ratio(), density.energy_rank(0.9)};
    const std::array<double, kinds> expected{count_above(values, 0.3), ranks.effective_rank, ranks.stable_rank,
                                             ranks.participation_ratio, static_cast<double>(ranks.energy_ranks[0])};
    for (std::size_t i = 0; i < kinds; ++i) {
      REQUIRE(found[i].sampling > 0);
      squares[i] += std::pow((found[i].value - expected[i]) / found[i].sampling, 2) / runs;
    }
  }
  for (std::size_t i = 0; i < kinds; ++i) {
    CAPTURE(i);
    CHECK(squares[i] > 0.6);  // 1 +- 0.14
    CHECK(squares[i] < 1.6);
  }
}

TEST_CASE("quadrature finds gaps, clusters and exact zeros") {
  std::vector<double> gap = log_uniform(400, 1, 0.3), clusters;
  for (const double value : log_uniform(600, 0.03, 0.001)) gap.push_back(value);
  clusters.insert(clusters.end(), 300, 1.0);
  clusters.insert(clusters.end(), 300, 0.1);
  clusters.insert(clusters.end(), 100, 0.01);
  clusters.resize(1000);
  for (const auto& values : {gap, clusters}) {
    const tensor<double, 2> matrix = matrix_with(1000, 1000, values);
    matrix_operator<double> op{matrix};
    const spectrum found = lanczos_quadrature{{{}, 80, 6}}(op);
    check_counts(found, values, 0.04);
    const spectral_count inside = found.density->above(0.05);  // in a gap of both
    CHECK(std::abs(inside.count - count_above(values, 0.05)) < 20);
    CHECK(inside.resolution < 10);
  }
}

TEST_CASE("quadrature with as many steps as there are values is exact for its probes") {
  const std::vector<double> values{5, 3, 3, 2, 1, 0, 0};
  const tensor<double, 2> matrix = matrix_with(9, 7, values);
  matrix_operator<double> op{matrix};
  const spectrum found = lanczos_quadrature{{{}, 50, 3}}(op);
  for (std::size_t probe = 0; probe < 3; ++probe) {
    for (std::size_t i = 0; i < found.density->nodes[probe].size(); ++i) {
      if (found.density->weights[probe][i] < 1e-12) continue;
      double nearest = 1;
      for (const double value : values) nearest = std::min(nearest, std::abs(found.density->nodes[probe][i] - value));
      CHECK(nearest < 1e-7);
    }
  }
  const tensor<double, 2> nothing{{4, 4}};
  matrix_operator<double> zero{nothing};
  const spectrum none = lanczos_quadrature{}(zero);
  CHECK(none.density->largest() == 0);
  CHECK(none.density->above(0).count == 0);
  const tensor<double, 2> one = matrix_with(1, 1, {-3});
  matrix_operator<double> single{one};
  CHECK(lanczos_quadrature{}(single).density->above(2.9).count == doctest::Approx(1));
}

TEST_CASE("wide and high matrices have the same density") {
  const std::vector<double> values = log_uniform(200, 1, 0.1);
  const tensor<double, 2> high = matrix_with(300, 200, values), wide = matrix_with(200, 300, values);
  for (const tensor<double, 2>* matrix : {&high, &wide}) {
    matrix_operator<double> op{*matrix};
    const spectrum found = lanczos_quadrature{{{}, 40, 8}}(op);
    CHECK(found.density->dimension == 200);
    check_counts(found, values, 0.06);
  }
}

TEST_CASE("a far outlier is computed by itself and the rest resolved against the next value") {
  std::vector<double> values = log_uniform(998, 1, 0.01);
  values.insert(values.begin(), {1000, 400});
  const tensor<double, 2> matrix = matrix_with(1000, 1000, values);
  matrix_operator<double> op{matrix};
  const spectrum found = lanczos_quadrature{{{}, 60, 6, 2}}(op);
  REQUIRE(found.values.size() == 2);
  CHECK(found.values[0] == doctest::Approx(1000).epsilon(1e-9));
  CHECK(found.values[1] == doctest::Approx(400).epsilon(1e-9));
  CHECK(found.density->dimension == 998);
  CHECK(found.density->resolution_limit() < 0.01);
  const spectral_count count = found.density->above(0.1);
  CHECK(std::abs(count.count - count_above(values, 0.1)) < 15);
}

TEST_CASE("token means that an operator loses are counted as zeros") {
  const std::size_t width = 16, tokens = 20, n = width * tokens;
  tensor<double, 2> matrix = matrix_with(n, n, log_uniform(n, 1, 0.1));
  for (std::size_t i = 0; i < n; ++i) detail::remove_means<double>(matrix.row(i), width);
  block_matrix_operator op{matrix, tokens};
  const spectrum found = lanczos_quadrature{{{}, 40, 6}}(op), all = exact{}(op);
  CHECK(found.density->zeros == tokens);
  CHECK(found.density->dimension == n - tokens);
  check_counts(found, all.values, 0.04);
  CHECK(found.density->above(0).count == doctest::Approx(static_cast<double>(n - tokens)));
  const rank_notions ranks = ranks_of(all, tokens);
  CHECK(ranks.calibrated == (10 * all.values[n - tokens] > 1e-14 * all.values[0]));
  CHECK(ranks.counts[1] == n - tokens);
  CHECK(ranks.well_determined);
}

TEST_CASE("quadrature stopped and resumed has the bits of one run, whatever the number of threads") {
  const tensor<float, 2> matrix = rounded<float>(matrix_with(300, 300, log_uniform(300, 1, 0.01)));
  matrix_operator<float> op{matrix};
  quadrature_settings settings{{}, 30, 3, 2, 7};
  settings.threads = 1;
  const spectrum whole = lanczos_quadrature{settings}(op);
  settings.threads = 3;
  int calls = 0;
  settings.progress = [&](const analysis_progress& at) {
    CHECK(at.stage == "quadrature");
    return ++calls != 12;
  };
  quadrature_state<float> state;
  const spectrum stopped = lanczos_quadrature{settings}(op, &state);
  CHECK(stopped.outcome == spectrum_outcome::stopped);
  CHECK(stopped.density->steps == 11);
  CHECK(state.steps == 11);
  const quadrature_state<float> saved = state;
  const spectrum resumed = lanczos_quadrature{settings}(op, &state);
  CHECK(resumed.outcome == spectrum_outcome::complete);
  CHECK(resumed.density->nodes == whole.density->nodes);
  CHECK(resumed.density->weights == whole.density->weights);
  settings.seed = 8;
  state = saved;
  CHECK_THROWS_WITH_AS(static_cast<void>(lanczos_quadrature{settings}(op, &state)),
                       doctest::Contains("saved state: expected 3 probes of seed 8"), bad_input);
}

TEST_CASE("largest finds values and vectors, and measures its residuals") {
  const std::vector<double> values = log_uniform(500, 10, 1e-3);
  for (const auto& [rows, cols] : {std::pair<std::size_t, std::size_t>{500, 500}, {600, 500}, {500, 700}}) {
    const tensor<double, 2> matrix = matrix_with(rows, cols, values);
    matrix_operator<double> op{matrix};
    largest_settings settings;
    settings.count = 12;
    const auto found = largest{settings}(op);
    CHECK(found.outcome == spectrum_outcome::complete);
    REQUIRE(found.values.size() == 12);
    const std::vector<double> expected(values.begin(), values.begin() + 12);
    check_close(std::span<const double>{found.values}, std::span<const double>{expected}, 1e-11, "values");
    tensor<double, 2> image{{12, rows}};
    op.apply(found.right.view(), image.view());
    for (std::size_t i = 0; i < 12; ++i) {
      double wrong = 0;
      for (std::size_t j = 0; j < rows; ++j)
        wrong = std::max(wrong, std::abs(image(i, j) - values[i] * found.left(i, j)));
      CHECK(wrong < 1e-9);
      CHECK(found.residuals[i] < 1e-10);
      CHECK(detail::length<double>(found.right.row(i)) == doctest::Approx(1).epsilon(1e-10));
    }
  }
}

TEST_CASE("largest copes with low rank, repeated values, few values and small sizes") {
  const std::vector<std::vector<double>> spectra{
      {4, 4, 4, 2}, {1}, {}, std::vector<double>(40, 3.0), log_uniform(40, 1, 1e-9)};
  for (const auto& values : spectra) {
    const tensor<double, 2> matrix = matrix_with(60, 40, values);
    matrix_operator<double> op{matrix};
    const auto found = largest{}(op);
    CHECK(found.outcome == spectrum_outcome::complete);
    std::vector<double> expected = values;
    expected.resize(40);
    expected.resize(10);
    REQUIRE(found.values.size() == 10);
    for (std::size_t i = 0; i < 10; ++i) CHECK(std::abs(found.values[i] - expected[i]) < 1e-9);
  }
  const tensor<double, 2> one = matrix_with(1, 1, {-2});
  matrix_operator<double> op{one};
  const auto found = largest{}(op);
  REQUIRE(found.values.size() == 1);
  CHECK(found.values[0] == doctest::Approx(2).epsilon(1e-14));
}

TEST_CASE("largest in float reaches its tolerance; too few products are an outcome, not a wrong answer") {
  const tensor<float, 2> matrix = rounded<float>(matrix_with(400, 400, log_uniform(400, 1, 0.2)));
  matrix_operator<float> op{matrix};
  const auto found = largest{}(op);
  CHECK(found.outcome == spectrum_outcome::complete);
  CHECK(*std::max_element(found.residuals.begin(), found.residuals.end()) < 1e-4);
  largest_settings few;
  few.products = 60;
  const auto early = largest{few}(op);
  CHECK(early.outcome == spectrum_outcome::not_converged);
  CHECK(early.note.find("worst residual") != std::string::npos);
  CHECK(early.residuals.back() > 1e-4);
}

TEST_CASE("per token gives the spectra of the blocks") {
  const std::size_t tokens = 5, width = 30;
  tensor<double, 2> matrix{{tokens * width, tokens * width}};
  std::vector<double> all;
  for (std::size_t t = 0; t < tokens; ++t) {
    std::vector<double> values = log_uniform(20, std::pow(10.0, 3 - static_cast<double>(t)), 1e-3);
    const tensor<double, 2> block = matrix_with(width, width, values, static_cast<unsigned>(t));
    for (std::size_t i = 0; i < width; ++i) std::ranges::copy(block.row(i), &matrix(t * width + i, t * width));
    values.resize(width);
    all.insert(all.end(), values.begin(), values.end());
  }
  std::sort(all.begin(), all.end(), std::greater<>{});
  block_matrix_operator op{matrix, tokens, block_structure::diagonal};
  const token_spectra found = per_token{}(op);
  check_close(std::span<const double>{found.values}, std::span<const double>{all}, 1e-14, "values");
  CHECK(found.by_token(4, 0) == doctest::Approx(0.1).epsilon(1e-12));
  const spectrum whole = exact{}(op);
  check_close(std::span<const double>{found.values}, std::span<const double>{whole.values}, 1e-14, "exact");
  block_matrix_operator mixing{matrix, tokens};
  CHECK_THROWS_WITH_AS(static_cast<void>(per_token{}(mixing)), doctest::Contains("one that mixes tokens"), bad_input);
}

TEST_CASE("automatic says what it picks and why") {
  const tensor<double, 2> matrix = matrix_with(60, 60, log_uniform(60, 1, 0.1));
  block_matrix_operator diagonal{matrix, 3, block_structure::diagonal}, full{matrix, 3};
  matrix_operator<double> plain{matrix};
  CHECK(automatic{}(diagonal).method == "per_token");
  CHECK(automatic{}(full).method == "exact");
  const spectrum dense = automatic{}(plain);
  CHECK(dense.method == "exact");
  CHECK(dense.reason.find("exact takes") == 0);
  automatic_settings small;
  small.memory = 50'000;
  const spectrum sampled = automatic{small}(plain);
  CHECK(sampled.method == "quadrature");
  CHECK(sampled.reason.find("50.0 kB") != std::string::npos);
  const tensor<double, 2> long_matrix = matrix_with(40, 4000, log_uniform(40, 1, 0.1));
  matrix_operator<double> wide{long_matrix};
  small.memory = gram{}.bytes(shape_of(wide));
  CHECK(automatic{small}(wide).method == "gram");
}
