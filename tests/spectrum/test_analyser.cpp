// SPDX-License-Identifier: MIT
// Analysers and operators that have exactly the members of their concepts and share no code with those of the library.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <compare.hpp>
#include <filesystem>
#include <optscope/checkpoint/checkpoint.hpp>
#include <optscope/opt/model.hpp>
#include <optscope/spectrum/analyser_list.hpp>
#include <optscope/spectrum/automatic.hpp>
#include <optscope/spectrum/block_analysis.hpp>
#include <optscope/spectrum/largest.hpp>
#include <spectrum/known_spectrum.hpp>
#include <string>
#include <vector>

using namespace optscope;

namespace {

/// All values by Jacobi's rotations of AᵀA, one pair of columns after another (Hestenes 1958).
struct rotations {
  using scalar = double;
  using settings = analysis_settings;
  static constexpr const char *name = "rotations", *help = "all values, by rotations of pairs of columns";

  explicit rotations(settings chosen = {}) : chosen_{std::move(chosen)} {}
  void check(const operator_shape& shape) const {
    if (shape.cols > 2000) throw bad_input{"", "rotations", "at most 2000 columns", std::to_string(shape.cols)};
  }
  std::size_t bytes(const operator_shape& shape) const { return 8 * shape.rows * shape.cols; }
  double operations(const operator_shape& shape) const { return 60.0 * double(shape.cols * shape.cols * shape.rows); }

  template <linear_operator Op>
  spectrum operator()(Op& op) const {
    using T = typename Op::scalar;
    const std::size_t n = op.cols();
    tensor<T, 2> unit{{n, n}}, columns{{n, op.rows()}};
    for (std::size_t i = 0; i < n; ++i) unit(i, i) = 1;
    op.apply(std::as_const(unit).view(), columns.view());
    std::vector<std::vector<double>> a(n);
    for (std::size_t i = 0; i < n; ++i) a[i].assign(columns.row(i).begin(), columns.row(i).end());
    spectrum found;
    found.method = name;
    found.size = std::min<std::size_t>(n, op.rows());
    found.floor = 1e-8;
    for (int sweep = 0; sweep < 30; ++sweep) {
      if (!chosen_.keep_going("rotations", sweep / 30.0)) {
        found.outcome = spectrum_outcome::stopped;
        return found;
      }
      for (std::size_t i = 0; i < n; ++i) {
        for (std::size_t j = 0; j < i; ++j) rotate(a[i], a[j]);
      }
    }
    for (const auto& column : a) found.values.push_back(std::sqrt(dot(column, column)));
    std::sort(found.values.begin(), found.values.end(), std::greater<>{});
    found.values.resize(found.size);
    return found;
  }

 private:
  static double dot(const std::vector<double>& x, const std::vector<double>& y) {
    double sum = 0;
    for (std::size_t i = 0; i < x.size(); ++i) sum += x[i] * y[i];
    return sum;
  }
  static void rotate(std::vector<double>& x, std::vector<double>& y) {
    const double xx = dot(x, x), yy = dot(y, y), xy = dot(x, y);
    if (std::abs(xy) <= 1e-17 * std::sqrt(xx * yy)) return;
    const double tau = (yy - xx) / (2 * xy);
    const double t = (tau >= 0 ? 1 : -1) / (std::abs(tau) + std::sqrt(1 + tau * tau));
    const double c = 1 / std::sqrt(1 + t * t), s = c * t;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double before = x[i];
      x[i] = c * before - s * y[i];
      y[i] = s * before + c * y[i];
    }
  }

  settings chosen_;
};

/// The largest value by power iteration, which can be stopped after any step.
struct power_state {
  std::vector<double> vector{};
  std::size_t steps = 0;
  double value = 0;
  [[nodiscard]] bool worth_saving() const { return steps > 0; }
};
template <class File>
void fields_of(File& file, power_state& at) {
  file(at.vector, at.steps, at.value);
}

struct power_settings : analysis_settings {
  std::size_t steps = 60;
};

struct power {
  using scalar = double;
  using settings = power_settings;
  template <class T>
  using state_of = power_state;
  static constexpr const char *name = "power", *help = "the largest value, by power iteration";

  explicit power(settings chosen = {}) : chosen_{std::move(chosen)} {}
  void check(const operator_shape&) const {}
  std::size_t bytes(const operator_shape& shape) const { return 8 * (shape.rows + shape.cols); }
  double operations(const operator_shape& shape) const { return 4.0 * double(shape.rows * shape.cols); }
  std::size_t state_bytes(const operator_shape& shape) const { return 8 * shape.cols + 64; }

  template <linear_operator Op>
  spectrum operator()(Op& op, power_state* state = nullptr) const {
    using T = typename Op::scalar;
    power_state own;
    power_state& at = state != nullptr ? *state : own;
    if (at.vector.empty()) {
      for (std::size_t i = 0; i < op.cols(); ++i) at.vector.push_back(1 + std::sin(double(i)));
    }
    spectrum found;
    found.method = name;
    found.size = std::min<std::size_t>(op.rows(), op.cols());
    tensor<T, 2> x{{1, op.cols()}}, y{{1, op.rows()}};
    for (; at.steps < chosen_.steps; ++at.steps) {
      if (!chosen_.keep_going("power", double(at.steps) / double(chosen_.steps))) {
        found.outcome = spectrum_outcome::stopped;
        return found;
      }
      std::transform(at.vector.begin(), at.vector.end(), x.data(), [](double v) { return static_cast<T>(v); });
      op.apply(std::as_const(x).view(), y.view());
      op.apply_transposed(std::as_const(y).view(), x.view());
      double squares = 0;
      for (const T v : x.row(0)) squares += double(v) * double(v);
      at.value = std::sqrt(std::sqrt(squares));
      std::transform(x.data(), x.data() + x.size(), at.vector.begin(),
                     [&](T v) { return double(v) / std::sqrt(squares); });
    }
    found.values = {at.value};
    return found;
  }

 private:
  settings chosen_;
};

static_assert(spectrum_analyser<rotations> && !resumable_analyser<rotations> && !selecting_analyser<rotations>);
static_assert(resumable_analyser<power> && resumable_analyser<power, matrix_operator<float>>);

/// An operator with exactly the members of the concept: every row is the one before shifted by one, from `first`.
template <class T>
struct circulant {
  using scalar = T;
  std::vector<double> first;

  std::size_t rows() const { return first.size(); }
  std::size_t cols() const { return first.size(); }
  double at(std::size_t i, std::size_t j) const { return first[(j + first.size() - i) % first.size()]; }
  void apply(tensor_view<const T, 2> x, tensor_view<T, 2> y) {
    for (std::size_t k = 0; k < x.rows(); ++k) {
      for (std::size_t i = 0; i < rows(); ++i) {
        double sum = 0;
        for (std::size_t j = 0; j < cols(); ++j) sum += at(i, j) * double(x(k, j));
        y(k, i) = static_cast<T>(sum);
      }
    }
  }
  void apply_transposed(tensor_view<const T, 2> y, tensor_view<T, 2> x) {
    for (std::size_t k = 0; k < y.rows(); ++k) {
      for (std::size_t j = 0; j < cols(); ++j) {
        double sum = 0;
        for (std::size_t i = 0; i < rows(); ++i) sum += at(i, j) * double(y(k, i));
        x(k, j) = static_cast<T>(sum);
      }
    }
  }
  /// Absolute values of the discrete Fourier transform of the first row.
  std::vector<double> values() const {
    std::vector<double> found;
    const std::size_t n = first.size();
    for (std::size_t k = 0; k < n; ++k) {
      double real = 0, imaginary = 0;
      for (std::size_t j = 0; j < n; ++j) {
        real += first[j] * std::cos(2 * M_PI * double(j * k) / double(n));
        imaginary += first[j] * std::sin(2 * M_PI * double(j * k) / double(n));
      }
      found.push_back(std::hypot(real, imaginary));
    }
    std::sort(found.begin(), found.end(), std::greater<>{});
    return found;
  }
};

/// The same with blocks: two equal circulants on the diagonal.
struct two_circulants : circulant<double> {
  std::size_t tokens() const { return 2; }
  std::size_t width() const { return first.size(); }
  std::size_t rows() const { return 2 * first.size(); }
  std::size_t cols() const { return rows(); }
  bool causal() const { return true; }
  bool diagonal() const { return true; }
  void apply(tensor_view<const double, 2> x, tensor_view<double, 2> y) {
    for (std::size_t half = 0; half < 2; ++half) {
      const std::size_t n = width(), k = x.rows();
      circulant<double>::apply({x.data() + half * n, {k, n}, x.stride()}, {y.data() + half * n, {k, n}, y.stride()});
    }
  }
  void apply_transposed(tensor_view<const double, 2> y, tensor_view<double, 2> x) {
    for (std::size_t half = 0; half < 2; ++half) {
      const std::size_t n = width(), k = x.rows();
      circulant<double>::apply_transposed({y.data() + half * n, {k, n}, y.stride()},
                                          {x.data() + half * n, {k, n}, x.stride()});
    }
  }
  void block(std::size_t t, std::size_t u, tensor_view<double, 2> out) {
    for (std::size_t i = 0; i < width(); ++i) {
      for (std::size_t j = 0; j < width(); ++j) out(i, j) = t == u ? at(i, j) : 0;
    }
  }
};

static_assert(linear_operator<circulant<float>> && !block_operator<circulant<float>>);
static_assert(block_operator<two_circulants>);

const std::vector<double> first_row{3, -1, 0.5, 0, 0.25, 2, 0, -0.125, 1};

void check_all(const std::vector<double>& found, const std::vector<double>& expected, double tolerance,
               const std::string& name) {
  check_close(std::span<const double>{found}, std::span<const double>{expected}, tolerance, name);
}

const std::string model_folder = OPTSCOPE_SOURCE_DIR "/tests/goldens/model/head-dim-64";

struct folder {
  std::filesystem::path path;
  folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "optscope-analyser-XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path = pattern;
  }
  folder(const folder&) = delete;
  folder& operator=(const folder&) = delete;
  ~folder() { std::filesystem::remove_all(path); }
};

}  // namespace

TEST_CASE("an operator with exactly the concept's members goes through every analyser") {
  circulant<double> op{first_row};
  circulant<float> single{first_row};
  const std::vector<double> values = op.values();
  check_all(exact{}(op).values, values, 1e-14, "exact");
  check_all(gram{}(op).values, values, 1e-8, "gram");
  check_all(automatic{}(op).values, values, 1e-14, "automatic");
  check_all(exact{}(single).values, values, 1e-6, "exact in float");
  largest_settings top;
  top.count = 3;
  check_all(largest{top}(op).values, {values.begin(), values.begin() + 3}, 1e-12, "largest");
  quadrature_settings few;
  few.steps = 9;
  few.probes = 2;
  CHECK(lanczos_quadrature{few}(single).density->largest() == doctest::Approx(values[0]).epsilon(1e-5));

  two_circulants blocks{{first_row}};
  std::vector<double> twice;
  for (const double value : values) twice.insert(twice.end(), 2, value);
  check_all(per_token{}(blocks).values, twice, 1e-14, "per_token");
  check_all(exact{}(blocks).values, twice, 1e-14, "exact by blocks");
  check_all(gram{}(blocks).values, twice, 1e-8, "gram by blocks");
  CHECK(automatic{}(blocks).method == "per_token");
}

TEST_CASE("an analyser that shares no code with the library's agrees with exact") {
  const tensor<double, 2> matrix = matrix_with(40, 30, log_uniform(30, 2, 1e-3));
  matrix_operator<double> op{matrix};
  check_all(rotations{}(op).values, exact{}(op).values, 1e-13, "rotations");
}

TEST_CASE("lists offer analysers by name; adding one is adding its type") {
  using offered = analyser_list<automatic, exact, gram, lanczos_quadrature, rotations>;
  std::vector<std::string> names;
  for (const auto& each : offered::names()) {
    names.push_back(each.name);
    CHECK(!each.help.empty());
  }
  CHECK(names == std::vector<std::string>{"automatic", "exact", "gram", "quadrature", "rotations"});
  std::string found;
  CHECK(offered::with("rotations", [&]<class A>(std::type_identity<A>) { found = A::help; }));
  CHECK(found == rotations::help);
  CHECK_FALSE(offered::with("none", [](auto) { FAIL("there is no such analyser"); }));
}

TEST_CASE("blocks of a model are analysed with any analyser") {
  model<any_opt, double> opt{checkpoint{model_folder}};
  const token_list tokens{2, 17, 5};
  for (const block_kind block : {block_kind::attention, block_kind::mlp}) {
    const block_request of{.block = block, .layer = 1, .tokens = 2};
    const block_spectrum own = block_analysis<rotations>{{.directions = 2}}(opt, of, tokens),
                         whole = block_analysis<exact>{{.directions = 2}}(opt, of, tokens);
    CHECK(own.found.method == "rotations");
    check_all(own.found.values, whole.found.values, 1e-8, title_of(block));
    CHECK(whole.found.method == (block == block_kind::mlp ? "per_token" : "exact"));
    CHECK(own.active == whole.active);
    CHECK(own.bound(opt.shape().hidden) == whole.bound(opt.shape().hidden));
    CHECK(own.reads.rows.rows() == 2);
    CHECK(own.share_read.size() == 2);
  }
  const block_analysis<rotations> analyse;
  CHECK_THROWS_WITH_AS(static_cast<void>(analyse.plan({.layer = 0, .tokens = 500}, opt.shape().hidden)),
                       doctest::Contains("rotations: expected at most 2000 columns, found "), bad_input);
}

TEST_CASE("a resumable analyser is stopped and resumed with the bits of one run; what is done is read") {
  const folder states;
  model<any_opt, double> opt{checkpoint{model_folder}};
  const token_list tokens{2, 17, 5};
  const block_request of{.layer = 1, .tokens = 3, .name = "attn-1"};
  const block_spectrum whole = block_analysis<power>{}(opt, of, tokens);
  CHECK(whole.found.values.size() == 1);

  block_settings settings{.folder = states.path.string(), .description = "a test"};
  std::string warning;
  settings.warn = [&](const std::string& what) { warning = what; };
  int asked = 0;
  settings.analysis.progress = [&](const analysis_progress&) { return ++asked < 20; };
  CHECK(block_analysis<power>{settings}(opt, of, tokens).found.outcome == spectrum_outcome::stopped);
  CHECK(std::filesystem::exists(states.path / "attn-1.part"));
  asked = 0;
  settings.analysis.progress = [&](const analysis_progress&) { return ++asked > 0; };
  const block_spectrum resumed = block_analysis<power>{settings}(opt, of, tokens);
  CHECK(resumed.found.values == whole.found.values);
  CHECK(asked == 41);  // 19 of the 60 steps were done
  CHECK_FALSE(std::filesystem::exists(states.path / "attn-1.part"));
  CHECK(std::filesystem::exists(states.path / "attn-1.done"));

  asked = 0;
  block_spectrum read;
  read.of = of;
  const block_analysis<power> again{settings};
  CHECK(again.load_done(tokens, read));
  CHECK(read.found.values == whole.found.values);
  CHECK(again(opt, of, tokens).found.values == whole.found.values);
  CHECK(asked == 0);
  CHECK(warning.empty());
  CHECK_FALSE(again.load_done({2, 17, 6}, read));
  CHECK(warning.find("expected 3 tokens: 2 17 6, found 3 tokens: 2 17 5; computed anew") != std::string::npos);
}
