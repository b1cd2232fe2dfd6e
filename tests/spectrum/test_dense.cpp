// SPDX-License-Identifier: MIT
// Dense analysers against matrices of known spectrum and against LAPACK's dgesdd.
#include <doctest/doctest.h>
#include <sys/mman.h>

#include <atomic>
#include <compare.hpp>
#include <limits>
#include <memory>
#include <numeric>
#include <optscope/spectrum/band_chase.hpp>
#include <optscope/spectrum/exact.hpp>
#include <optscope/spectrum/gram.hpp>
#include <spectrum/known_spectrum.hpp>
#include <thread>

using namespace optscope;

namespace {

struct test_case {
  std::string name;
  std::size_t rows, cols;
  std::vector<double> values;
};

std::vector<test_case> cases() {
  std::vector<double> gap = log_uniform(150, 1, 0.1), clusters;
  for (const double value : log_uniform(100, 1e-6, 1e-9)) gap.push_back(value);
  for (int i = 0; i < 300; ++i) clusters.push_back(std::pow(10.0, -(i / 100)) * (1 + 1e-13 * (i % 100)));
  std::sort(clusters.begin(), clusters.end(), std::greater<>{});
  std::vector<double> half = log_uniform(100, 3, 0.3);
  half.resize(201);
  return {{"one number", 1, 1, {-3}},
          {"two", 2, 2, {5, 1e-3}},
          {"smaller than a band", 17, 17, log_uniform(17, 1, 1e-12)},
          {"63", 63, 63, log_uniform(63, 1e3, 1)},
          {"64", 64, 64, log_uniform(64, 1e3, 1)},
          {"65", 65, 65, log_uniform(65, 1e3, 1)},
          {"129", 129, 129, log_uniform(129, 1, 1e-14)},
          {"gap", 250, 250, gap},
          {"clusters", 300, 300, clusters},
          {"half zeros", 201, 201, half},
          {"rank one", 130, 130, {7}},
          {"all zeros", 100, 100, {}},
          {"wide", 70, 301, log_uniform(70, 1, 1e-5)},
          {"high", 301, 70, log_uniform(70, 1, 1e-5)},
          {"one row", 1, 100, {2}},
          {"one column", 100, 1, {2}},
          {"large", 90, 90, log_uniform(90, 1e300, 1e290)},
          {"small", 90, 90, log_uniform(90, 1e-290, 1e-300)},
          {"denormal", 90, 90, log_uniform(90, 1e-308, 1e-318)}};
}

std::vector<double> with_zeros(std::vector<double> values, std::size_t size) {
  for (double& value : values) value = std::abs(value);
  values.resize(size);
  return values;
}

template <class Analyser>
void check_values(const Analyser& analyser, const test_case& at, double tolerance) {
  const tensor<double, 2> matrix = matrix_with(at.rows, at.cols, at.values);
  matrix_operator<double> op{matrix};
  const spectrum found = analyser(op);
  CHECK(found.outcome == spectrum_outcome::complete);
  CHECK(found.all_values());
  CHECK(std::is_sorted(found.values.rbegin(), found.values.rend()));
  // Denormal numbers have fewer digits: what counts there is LAPACK's answer for the matrix as stored.
  const bool exact_matrix = at.name != "denormal";
  const std::vector<double> expected =
      exact_matrix ? with_zeros(at.values, std::min(at.rows, at.cols)) : lapack_values(matrix);
  check_close(std::span<const double>{found.values}, std::span<const double>{expected}, tolerance,
              found.method + ", " + at.name);
}

}  // namespace

TEST_CASE("exact finds known singular values to 1e-14 of the largest, within clusters to 2e-14") {
  // dqds loses a little where a hundred values agree to 1e-11: 0.6e-14 or 1.1e-14, by the CPU's kernels.
  for (const test_case& at : cases()) check_values(exact{}, at, at.name == "clusters" ? 2e-14 : 1e-14);
}

TEST_CASE("gram finds known singular values to its floor") {
  for (const test_case& at : cases()) check_values(gram{}, at, 3e-8);
}

TEST_CASE("exact agrees with dgesdd on random matrices") {
  std::mt19937 random{5};
  std::normal_distribution<double> normal;
  for (const std::size_t n : {1, 2, 63, 64, 100, 128, 191, 333}) {
    tensor<double, 2> matrix{{n, n + n % 3}};
    for (std::size_t i = 0; i < matrix.size(); ++i) matrix.data()[i] = normal(random);
    matrix_operator<double> op{matrix};
    const spectrum found = exact{}(op);
    const std::vector<double> expected = lapack_values(matrix);
    check_close(std::span<const double>{found.values}, std::span<const double>{expected}, 1e-14, std::to_string(n));
  }
}

TEST_CASE("causal and diagonal operators have the spectrum of the whole matrix") {
  std::mt19937 random{7};
  std::normal_distribution<double> normal;
  for (const auto& [tokens, width] : {std::pair<std::size_t, std::size_t>{5, 30}, {3, 100}, {1, 50}, {40, 3}}) {
    for (const block_structure structure :
         {block_structure::full, block_structure::causal, block_structure::diagonal}) {
      const std::size_t n = tokens * width;
      tensor<double, 2> matrix{{n, n}};
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < n; ++j) {
          const bool later = j / width > i / width, other = j / width != i / width;
          const bool zero =
              structure == block_structure::causal ? later : structure == block_structure::diagonal && other;
          matrix(i, j) = zero ? 0 : normal(random);
        }
      }
      block_matrix_operator op{matrix, tokens, structure};
      const std::vector<double> expected = lapack_values(matrix);
      const std::string name = std::to_string(tokens) + " tokens of " + std::to_string(width);
      check_close(std::span<const double>{exact{}(op).values}, std::span<const double>{expected}, 1e-14, name);
      check_close(std::span<const double>{gram{}(op).values}, std::span<const double>{expected}, 1e-8, name);
    }
  }
}

TEST_CASE("dense spectra have the same bits for any number of threads, and when resumed") {
  const tensor<double, 2> matrix = matrix_with(700, 700, log_uniform(700, 1, 1e-6));
  matrix_operator<double> op{matrix};
  const auto check = [&](auto analyser) {
    using analyser_type = decltype(analyser);
    analysis_settings one, three;
    one.threads = 1;
    three.threads = 3;
    const spectrum expected = analyser_type{one}(op);
    CHECK(analyser_type{three}(op).values == expected.values);

    band_matrix state;
    for (const int calls : {1, 7}) {  // before the chase, and within it
      state = {};
      int asked = 0;
      three.progress = [&](const analysis_progress& at) { return at.stage != "band to values" || ++asked < calls; };
      const spectrum stopped = analyser_type{three}(op, &state);
      CHECK(asked == calls);
      CHECK(stopped.outcome == spectrum_outcome::stopped);
      CHECK(stopped.note == "stopped in the stage band to values");
      CHECK(stopped.values.empty());
      CHECK(state.size == 700);
    }
    three.progress = [asked = 0](const analysis_progress& at) mutable {
      if (at.stage == "band to values" && ++asked == 7) throw error{"the caller's own"};
      return true;
    };
    CHECK_THROWS_WITH_AS(static_cast<void>(analyser_type{three}(op, &state)), "the caller's own", error);
    std::vector<std::string> stages;
    double last = 0;
    three.progress = [&](const analysis_progress& at) {
      CHECK(at.fraction >= last);
      last = at.fraction;
      if (stages.empty() || stages.back() != at.stage) stages.emplace_back(at.stage);
      return true;
    };
    CHECK(analyser_type{three}(op, &state).values == expected.values);
    CHECK(stages == std::vector<std::string>{"band to values"});
    state.diagonals.pop_back();
    CHECK_THROWS_WITH_AS(static_cast<void>(analyser_type{three}(op, &state)), doctest::Contains("saved band matrix"),
                         bad_input);
    state = {};
    stages.clear();
    last = 0;
    static_cast<void>(analyser_type{three}(op, &state));
    CHECK(stages.size() == 3);
  };
  check(exact{});
  check(gram{});
}

TEST_CASE("a routine that nothing interrupts is left to itself when the caller is to stop") {
  const auto end = std::make_shared<std::atomic<bool>>(false);
  const auto routine = [end] {
    while (!*end) std::this_thread::yield();
    return 7;
  };
  int asked = 0;
  CHECK(!lapack::unless_stopped(routine, [&] { return ++asked < 2; }));
  CHECK(asked == 2);
  *end = true;
  CHECK(lapack::unless_stopped(routine, [] { return true; }) == 7);
}

TEST_CASE("what cannot work is refused before it begins, with numbers and another way") {
  struct unusable {
    using scalar [[maybe_unused]] = float;
    std::size_t n;
    [[nodiscard]] std::size_t rows() const { return n; }
    [[nodiscard]] std::size_t cols() const { return n; }
    void apply(tensor_view<const float, 2>, tensor_view<float, 2>) { FAIL("nothing may be computed"); }
    void apply_transposed(tensor_view<const float, 2>, tensor_view<float, 2>) { FAIL("nothing may be computed"); }
  } op{589'824};
  CHECK_THROWS_WITH_AS(static_cast<void>(exact{}(op)), doctest::Contains("exact of 589824 x 589824: expected at most"),
                       bad_input);
  CHECK_THROWS_WITH_AS(static_cast<void>(exact{}(op)),
                       doctest::Contains("2.8 TB needed; quadrature would work with 94.4 MB"), bad_input);
  CHECK_THROWS_WITH_AS(static_cast<void>(gram{}(op)), doctest::Contains("gram of 589824 x 589824"), bad_input);
  op.n = 0;
  CHECK_THROWS_WITH_AS(static_cast<void>(exact{}(op)), doctest::Contains("found 0 x 0"), bad_input);
}

TEST_CASE("numbers that are not finite are refused with their place") {
  tensor<double, 2> matrix = matrix_with(100, 100, log_uniform(100, 1, 0.1));
  matrix(71, 5) = std::numeric_limits<double>::quiet_NaN();
  matrix_operator<double> op{matrix};
  block_matrix_operator blocks{matrix, 10};
  for (const char* name : {"exact", "gram"}) {
    CAPTURE(name);
    const bool first = std::string{name} == "exact";
    const auto find = [&](auto& of) { return first ? exact{}(of) : gram{}(of); };
    CHECK_THROWS_AS(static_cast<void>(find(op)), bad_input);
    CHECK_THROWS_WITH_AS(static_cast<void>(find(blocks)),
                         "operator, row 71, column 5: expected a finite number, found NaN", bad_input);
  }
}

TEST_CASE("panels of a matrix with more than 2^31 elements are addressed rightly") {
  // 128 columns that lie 2^25 numbers apart: 34 GB of addresses, of which only the pages in use take memory.
  const std::size_t n = 128, stride = std::size_t{1} << 25;
  void* place = ::mmap(nullptr, n * stride * sizeof(double), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (place == MAP_FAILED) return;  // limits on addresses
  const tensor<double, 2> matrix = matrix_with(n, n, log_uniform(n, 1, 0.01));
  const detail::column_major a{static_cast<double*>(place), n, n, stride};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) *a.at(i, j) = matrix(i, j);
  }
  thread_pool pool{1};
  std::vector<double> found;
  std::size_t start = 0;
  const band_matrix band = detail::reduce_to_band(a, pool, start, [](double) { return true; });
  CHECK(detail::band_singular_values(band, pool, found, [](double) { return true; }) == 0);
  const std::vector<double> expected = log_uniform(n, 1, 0.01);
  check_close(std::span<const double>{found}, std::span<const double>{expected}, 1e-14, "far apart");
  ::munmap(place, n * stride * sizeof(double));
}
