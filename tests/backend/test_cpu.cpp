// SPDX-License-Identifier: MIT
// Each kernel against a plain loop in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <compare.hpp>
#include <cstddef>
#include <limits>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/elementwise.hpp>
#include <span>
#include <utility>
#include <vector>

using namespace optscope;

namespace {

template <class T>
std::vector<T> numbers(std::size_t n, std::size_t seed) {
  std::vector<T> values(n);
  for (std::size_t i = 0; i < n; ++i) {
    values[i] = static_cast<T>(static_cast<double>((i * 7919 + seed * 104729) % 2003) / 1001.0 - 1);
  }
  return values;
}

template <class T>
constexpr double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;

template <class T>
std::span<const T> all(const std::vector<T>& v) {
  return v;
}

template <class T>
void check_linear(std::size_t m, std::size_t n, std::size_t k, std::size_t gap, bool bias, std::size_t threads) {
  const auto x = numbers<T>(m * (k + gap), 1), w = numbers<T>(n * k, 2), b = numbers<T>(n, 3);
  std::vector<T> y(m * (n + gap), T{7});
  cpu backend{threads};
  backend.linear(tensor_view<const T, 2>{x.data(), {m, k}, k + gap}, tensor_view<const T, 2>{w.data(), {n, k}},
                 bias ? b.data() : nullptr, tensor_view<T, 2>{y.data(), {m, n}, n + gap});
  std::vector<double> expected(y.size(), 7);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = bias ? static_cast<double>(b[j]) : 0;
      for (std::size_t l = 0; l < k; ++l) {
        sum += static_cast<double>(x[i * (k + gap) + l]) * static_cast<double>(w[j * k + l]);
      }
      expected[i * (n + gap) + j] = sum;
    }
  }
  check_close(all(y), all(expected), tolerance<T>,
              std::to_string(m) + "x" + std::to_string(n) + "x" + std::to_string(k));
}

/// z (m, hidden) by the definition; query i is at position t - m + i.
template <class T>
std::vector<double> plain_attention(const std::vector<T>& q, const std::vector<T>& k, const std::vector<T>& v,
                                    std::size_t m, std::size_t t, std::size_t heads, std::size_t width) {
  const std::size_t hidden = heads * width;
  std::vector<double> z(m * hidden);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t h = 0; h < heads; ++h) {
      std::vector<double> p(t - m + i + 1);
      double sum = 0;
      for (std::size_t j = 0; j < p.size(); ++j) {
        double score = 0;
        for (std::size_t d = 0; d < width; ++d) {
          score +=
              static_cast<double>(q[i * hidden + h * width + d]) * static_cast<double>(k[j * hidden + h * width + d]);
        }
        p[j] = std::exp(score / std::sqrt(static_cast<double>(width)));
        sum += p[j];
      }
      for (std::size_t j = 0; j < p.size(); ++j) {
        for (std::size_t d = 0; d < width; ++d) {
          z[i * hidden + h * width + d] += p[j] / sum * static_cast<double>(v[j * hidden + h * width + d]);
        }
      }
    }
  }
  return z;
}

}  // namespace

TEST_CASE_TEMPLATE("linear agrees with a plain loop for few and many rows, gaps between rows, any threads", T, float,
                   double) {
  for (const std::size_t threads : {1u, 3u, 16u}) {
    for (const std::size_t m : {1u, 2u, 31u, 32u, 33u, 257u, 600u}) {
      check_linear<T>(m, 5, 7, 0, true, threads);
      check_linear<T>(m, 80, 33, 3, false, threads);
    }
    check_linear<T>(1, 700, 401, 0, true, threads);
    check_linear<T>(40, 300, 500, 5, true, threads);
    check_linear<T>(9, 50, 1600, 0, true, threads);  // deeper than one pass
  }
}

TEST_CASE_TEMPLATE("a row has the same bits alone and among others, on any number of threads", T, float, double) {
  for (const auto& [n, k] :
       {std::pair<std::size_t, std::size_t>{5, 7}, {256, 256}, {768, 768}, {100, 1000}, {3072, 80}}) {
    const std::size_t m = 300;
    const auto x = numbers<T>(m * k, 1), w = numbers<T>(n * k, 2), bias = numbers<T>(n, 3);
    std::vector<T> together(m * n), some(m * n);
    const tensor_view<const T, 2> weight{w.data(), {n, k}}, rows{x.data(), {m, k}};
    cpu{2}.linear(rows, weight, bias.data(), tensor_view<T, 2>{together.data(), {m, n}});
    for (const std::size_t threads : {1u, 3u, 16u}) {
      cpu backend{threads};
      for (const std::size_t count : {1u, 2u, 3u, 17u, 33u, 299u}) {
        backend.linear(rows.slice(1, count), weight, bias.data(), tensor_view<T, 2>{some.data(), {count, n}});
        CHECK(std::equal(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count * n),
                         together.begin() + static_cast<std::ptrdiff_t>(n)));
      }
    }
  }
}

TEST_CASE_TEMPLATE("attention agrees with its definition, whole and behind cached keys", T, float, double) {
  for (const auto& [heads, width] : {std::pair<std::size_t, std::size_t>{1, 1}, {3, 7}, {2, 80}, {1, 128}}) {
    for (const auto& [m, t] :
         {std::pair<std::size_t, std::size_t>{1, 1}, {5, 5}, {200, 200}, {1, 150}, {130, 300}, {600, 601}}) {
      const std::size_t hidden = heads * width;
      const auto q = numbers<T>(m * hidden, 1), k = numbers<T>(t * hidden, 2), v = numbers<T>(t * hidden, 3);
      const tensor_view<const T, 2> qv{q.data(), {m, hidden}}, kv{k.data(), {t, hidden}}, vv{v.data(), {t, hidden}};
      std::vector<T> z(m * hidden), steps(m * hidden), square(heads * m * t);
      cpu backend{2};
      const std::array<attention_text<T>, 1> text{{{qv, kv, vv, {z.data(), {m, hidden}}}}};
      backend.attention(std::span<const attention_text<T>>{text}, heads);
      check_close(all(z), all(plain_attention(q, k, v, m, t, heads, width)), tolerance<T>, "attention");

      const tensor_view<T, 3> pattern{square.data(), {heads, m, t}};
      backend.attention_scores(qv, kv, pattern);
      backend.attention_softmax(pattern);
      backend.attention_mix(tensor_view<const T, 3>{pattern}, vv, tensor_view<T, 2>{steps.data(), {m, hidden}});
      CHECK_EQ(z, steps);
    }
  }
}

TEST_CASE_TEMPLATE("attention of a text has the same bits alone and among others, on any number of threads", T, float,
                   double) {
  const std::size_t heads = 3, hidden = 48, longest = 700;
  const auto q = numbers<T>(longest * hidden, 1), k = numbers<T>(longest * hidden, 2),
             v = numbers<T>(longest * hidden, 3);
  const auto run = [&](const std::vector<std::pair<std::size_t, std::size_t>>& sizes, std::size_t threads) {
    std::vector<std::vector<T>> z;
    std::vector<attention_text<T>> texts;
    for (const auto& [m, t] : sizes) z.emplace_back(m * hidden);
    for (std::size_t i = 0; i < sizes.size(); ++i) {
      const auto [m, t] = sizes[i];
      texts.push_back(
          {{q.data(), {m, hidden}}, {k.data(), {t, hidden}}, {v.data(), {t, hidden}}, {z[i].data(), {m, hidden}}});
    }
    cpu{threads}.attention(std::span{std::as_const(texts)}, heads);
    return z;
  };
  const std::vector<std::pair<std::size_t, std::size_t>> sizes{{1, 1}, {1, 33}, {600, 600}, {5, 9}, {530, 700}};
  for (const std::size_t threads : {1u, 3u, 16u}) {
    const auto together = run(sizes, threads);
    for (std::size_t i = 0; i < sizes.size(); ++i) CHECK_EQ(together[i], run({sizes[i]}, 1)[0]);
  }
}

TEST_CASE_TEMPLATE("LayerNorm agrees with its definition, also far from zero and in place", T, float, double) {
  for (const std::size_t n : {1u, 15u, 16u, 80u, 769u}) {
    for (const double offset : {0.0, 100.0}) {
      auto x = numbers<T>(2 * n, 1);
      for (T& value : x) value += static_cast<T>(offset);
      const auto gamma = numbers<T>(n, 2), beta = numbers<T>(n, 3);
      std::vector<double> expected;
      for (std::size_t row = 0; row < 2; ++row) {
        double mean = 0, variance = 0;
        for (std::size_t i = 0; i < n; ++i) mean += static_cast<double>(x[row * n + i]) / static_cast<double>(n);
        for (std::size_t i = 0; i < n; ++i) {
          variance += std::pow(static_cast<double>(x[row * n + i]) - mean, 2) / static_cast<double>(n);
        }
        for (std::size_t i = 0; i < n; ++i) {
          expected.push_back((static_cast<double>(x[row * n + i]) - mean) / std::sqrt(variance + 1e-5) *
                                 static_cast<double>(gamma[i]) +
                             static_cast<double>(beta[i]));
        }
      }
      const tensor_view<T, 2> view{x.data(), {2, n}};
      cpu{2}.layer_norm(tensor_view<const T, 2>{view}, gamma.data(), beta.data(), view);
      check_close(all(x), all(expected), offset == 0 ? tolerance<T> : 100 * tolerance<T>, "LayerNorm");
    }
  }
}

TEST_CASE("the float exponential is within two units in the last place") {
  double worst = 0;
  for (float x = 0; x > -87; x -= 0.00137f) {
    const double exact = std::exp(static_cast<double>(x));
    const double unit = static_cast<double>(std::nextafter(static_cast<float>(exact), 2.0f)) - exact;
    worst = std::max(worst, std::abs(static_cast<double>(kernel::exp_nonpositive(x)) - exact) /
                                std::max(std::abs(unit), exact * 0x1p-24));
  }
  CHECK(worst <= 2);
  CHECK(kernel::exp_nonpositive(-1e30f) < 1e-37f);
  CHECK_EQ(kernel::exp_nonpositive(0.0f), 1.0f);
}

TEST_CASE("softmax stands large scores and keeps NaN visible") {
  std::vector<float> x{1000, 1000, -1000};
  kernel::softmax(x.data(), 3);
  CHECK_EQ(x[0], 0.5f);
  CHECK(x[2] < 1e-37f);
  std::vector<float> bad{1, std::numeric_limits<float>::quiet_NaN()};
  kernel::softmax(bad.data(), 2);
  CHECK(std::isnan(bad[1]));
}

TEST_CASE("nonlinearities have their values") {
  const auto value = [](activation kind, double x) {
    kernel::activate(kind, &x, 1);
    return x;
  };
  CHECK_EQ(value(activation::relu, -2), 0.0);
  CHECK_EQ(value(activation::relu, 2), 2.0);
  CHECK(std::isnan(value(activation::relu, NAN)));
  CHECK(std::abs(value(activation::gelu, 1) - 0.8413447460685429) < 1e-15);       // torch.nn.functional.gelu
  CHECK(std::abs(value(activation::gelu_tanh, 1) - 0.8411919906082768) < 1e-15);  // approximate="tanh"
  CHECK(std::abs(value(activation::silu, 1) - 0.7310585786300049) < 1e-15);
  CHECK_EQ(value(activation::identity, -3), -3.0);
}
