// SPDX-License-Identifier: MIT
// What every backend computes, against plain loops in double.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <compare.hpp>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optscope/backend/cblas.hpp>
#include <optscope/backend/cpu.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "numbers.hpp"
#include "plain_backend.hpp"

using namespace optscope;

namespace {

template <class Backend, class T>
struct on {
  using backend = Backend;
  using scalar = T;
};
using cpu_float = on<cpu, float>;
using cpu_double = on<cpu, double>;
using cblas_float = on<cblas, float>;
using cblas_double = on<cblas, double>;
using plain_float = on<plain_backend<float>, float>;
using plain_double = on<plain_backend<double>, double>;

/// Numbers of a type, from the second byte on: of every size that it has, with subnormals.
std::vector<std::byte> stored_numbers(dtype type, std::size_t count) {
  std::vector<std::byte> bytes(1 + count * size_of(type));
  for (std::size_t i = 0; i < count; ++i) {
    const auto bits = static_cast<std::uint32_t>((i + 1) * 2654435761u);
    const std::uint16_t half = static_cast<std::uint16_t>((bits >> 7 & 0x87ff) | (bits >> 20) % 17 << 10);
    const std::uint16_t bfloat = static_cast<std::uint16_t>((bits & 0x8000) | 0x3b00 | (bits >> 19 & 0x7ff));
    const float single = static_cast<float>(static_cast<std::int32_t>(bits)) * 0x1p-31f;
    const double twice = static_cast<double>(static_cast<std::int32_t>(bits)) / 3e9;
    const void* const from = type == dtype::f16    ? static_cast<const void*>(&half)
                             : type == dtype::bf16 ? static_cast<const void*>(&bfloat)
                             : type == dtype::f32  ? static_cast<const void*>(&single)
                                                   : static_cast<const void*>(&twice);
    std::memcpy(bytes.data() + 1 + i * size_of(type), from, size_of(type));
  }
  return bytes;
}

template <class Backend, class T>
void check_linear(std::size_t m, std::size_t n, std::size_t k, std::size_t gap, bool bias, std::size_t threads) {
  const auto x = numbers<T>(m * (k + gap), 1), w = numbers<T>(n * k, 2), b = numbers<T>(n, 3);
  std::vector<T> y(m * (n + gap), T{7});
  Backend backend{threads};
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

TEST_CASE_TEMPLATE("linear agrees with a plain loop for few and many rows, gaps between rows, any threads", On,
                   cpu_float, cpu_double, cblas_float, cblas_double, plain_float, plain_double) {
  using T = typename On::scalar;
  using Backend = typename On::backend;
  for (const std::size_t threads : {1u, 3u, 16u}) {
    for (const std::size_t m : {1u, 2u, 31u, 32u, 33u, 257u, 600u}) {
      check_linear<Backend, T>(m, 5, 7, 0, true, threads);
      check_linear<Backend, T>(m, 80, 33, 3, false, threads);
    }
    check_linear<Backend, T>(1, 700, 401, 0, true, threads);
    check_linear<Backend, T>(40, 300, 500, 5, true, threads);
    check_linear<Backend, T>(9, 50, 1600, 0, true, threads);  // deeper than one pass
  }
}

TEST_CASE_TEMPLATE("attention agrees with its definition, whole and behind cached keys", On, cpu_float, cpu_double,
                   cblas_float, cblas_double, plain_float, plain_double) {
  using T = typename On::scalar;
  using Backend = typename On::backend;
  for (const auto& [heads, width] : {std::pair<std::size_t, std::size_t>{1, 1}, {3, 7}, {2, 80}, {1, 128}}) {
    for (const auto& [m, t] :
         {std::pair<std::size_t, std::size_t>{1, 1}, {5, 5}, {200, 200}, {1, 150}, {130, 300}, {600, 601}}) {
      if (m == 600 && width > 7) continue;  // long texts with narrow heads, which is quick with sanitizers too
      const std::size_t hidden = heads * width;
      const auto q = numbers<T>(m * hidden, 1), k = numbers<T>(t * hidden, 2), v = numbers<T>(t * hidden, 3);
      const tensor_view<const T, 2> qv{q.data(), {m, hidden}}, kv{k.data(), {t, hidden}}, vv{v.data(), {t, hidden}};
      std::vector<T> z(m * hidden), steps(m * hidden), square(heads * m * t);
      Backend backend{2};
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

TEST_CASE_TEMPLATE("LayerNorm agrees with its definition, also far from zero and in place", On, cpu_float, cpu_double,
                   cblas_float, cblas_double, plain_float, plain_double) {
  using T = typename On::scalar;
  using Backend = typename On::backend;
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
      Backend{2}.layer_norm(tensor_view<const T, 2>{view}, gamma.data(), beta.data(), view);
      check_close(all(x), all(expected), offset == 0 ? tolerance<T> : 100 * tolerance<T>, "LayerNorm");
    }
  }
}

TEST_CASE_TEMPLATE("scores of later keys are minus infinity, their shares 0, and each row of shares sums to 1", On,
                   cpu_float, cpu_double, cblas_float, cblas_double, plain_float, plain_double) {
  using T = typename On::scalar;
  const std::size_t heads = 2, m = 300, t = 310, hidden = 10;
  const auto q = numbers<T>(m * hidden, 1), k = numbers<T>(t * hidden, 2);
  std::vector<T> memory(heads * m * t, T{5});
  const tensor_view<T, 3> square{memory.data(), {heads, m, t}};
  typename On::backend backend{2};
  backend.attention_scores(tensor_view<const T, 2>{q.data(), {m, hidden}},
                           tensor_view<const T, 2>{k.data(), {t, hidden}}, square);
  const auto check = [&](const auto& right) {
    bool all_right = true;
    for (std::size_t h = 0; h < heads; ++h) {
      for (std::size_t i = 0; i < m; ++i) {
        for (std::size_t j = 0; j < t; ++j) all_right = all_right && right(square(h, i, j), j > t - m + i);
      }
    }
    return all_right;
  };
  CHECK(check([](T score, bool later) { return std::isinf(score) == later && (!later || score < 0); }));
  backend.attention_softmax(square);
  CHECK(check([](T share, bool later) { return later ? share == 0 : share > 0 && share <= 1; }));
  for (std::size_t i = 0; i < m; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < t; ++j) sum += static_cast<double>(square(1, i, j));
    CHECK(std::abs(sum - 1) < (sizeof(T) == 4 ? 1e-5 : 1e-13));
  }
}

TEST_CASE_TEMPLATE("a product without columns to sum over is the bias, and sizes of 0 do nothing", On, cpu_float,
                   cpu_double, cblas_float, cblas_double, plain_float, plain_double) {
  using T = typename On::scalar;
  typename On::backend backend{2};
  const auto x = numbers<T>(60, 1), bias = numbers<T>(4, 2);
  using in = tensor_view<const T, 2>;
  using out = tensor_view<T, 2>;
  std::vector<T> y(12, T{7});
  backend.linear(in{x.data(), {3, 0}, 4}, in{x.data(), {4, 0}, 4}, bias.data(), out{y.data(), {3, 4}});
  for (std::size_t i = 0; i < y.size(); ++i) CHECK_EQ(y[i], bias[i % 4]);
  backend.linear(in{x.data(), {3, 0}, 4}, in{x.data(), {4, 0}, 4}, static_cast<const T*>(nullptr),
                 out{y.data(), {3, 4}});
  CHECK_EQ(y, std::vector<T>(12));

  y.assign(12, T{7});
  backend.linear(in{x.data(), {0, 5}}, in{x.data(), {4, 5}}, bias.data(), out{y.data(), {0, 4}});
  backend.linear(in{x.data(), {3, 5}}, in{x.data(), {0, 5}}, bias.data(), out{y.data(), {3, 0}, 4});
  backend.layer_norm(in{x.data(), {0, 5}}, x.data(), x.data(), out{y.data(), {0, 5}});
  backend.activate(activation::relu, out{y.data(), {0, 5}});
  backend.add(in{x.data(), {0, 5}}, out{y.data(), {0, 5}});
  backend.attention(std::span<const attention_text<T>>{}, 2);
  CHECK_EQ(y, std::vector<T>(12, T{7}));
}

TEST_CASE_TEMPLATE("a product with weights as they are stored has the bits of that with converted ones", On, cpu_float,
                   cpu_double, cblas_float, cblas_double, plain_float) {
  using T = typename On::scalar;
  typename On::backend backend{2};
  for (const dtype type : {dtype::f16, dtype::bf16, dtype::f32, dtype::f64}) {
    if (!matrix_view<T>::usable(type)) continue;
    for (const auto& shape :
         {std::pair<std::size_t, std::size_t>{1, 1}, {3, 7}, {16, 8}, {24, 130}, {51, 21}, {99, 300}, {217, 40}}) {
      const std::size_t n = shape.first, k = shape.second;
      const std::vector<std::byte> bytes = stored_numbers(type, n * k);
      const matrix_view<T> stored{bytes.data() + 1, type, {n, k}};  // at an odd address
      CHECK_FALSE(stored.holds_values());
      std::vector<T> converted(n * k);
      convert(bytes.data() + 1, type, n * k, converted.data());
      const tensor_view<const T, 2> values{converted.data(), {n, k}};
      for (const std::size_t m : {1u, 2u, 5u, 16u, 17u, 40u}) {
        const auto x = numbers<T>(m * (n + k), 1), bias = numbers<T>(n, 3);
        const auto product = [&](const matrix_view<T>& w, std::size_t columns) {
          std::vector<T> y(m * columns);
          backend.linear(tensor_view<const T, 2>{x.data(), {m, k}}, w, bias.data(),
                         tensor_view<T, 2>{y.data(), {m, columns}});
          return y;
        };
        CHECK_EQ(product(stored, n), product(values, n));
        if (n % 3 == 0) {
          const std::size_t third = n / 3;
          const matrix_view<T> parts{stored.slice(third, third), stored.slice(0, third),
                                     stored.slice(2 * third, third)};
          std::vector<T> turned(n * k);
          parts.copy_to(turned.data());
          CHECK(std::equal(turned.begin(), turned.begin() + static_cast<std::ptrdiff_t>(third * k),
                           converted.begin() + static_cast<std::ptrdiff_t>(third * k)));
          CHECK_EQ(product(parts, n), product(tensor_view<const T, 2>{turned.data(), {n, k}}, n));
          const std::size_t count = n - 2;
          CHECK_EQ(product(parts.slice(1, count), count),
                   product(tensor_view<const T, 2>{turned.data() + k, {count, k}}, count));
        }
        if constexpr (requires { backend.linear_backward(values, stored, tensor_view<T, 2>{}); }) {
          std::vector<T> y(m * k), expected(m * k);
          const tensor_view<const T, 2> rows{x.data(), {m, n}};
          backend.linear_backward(rows, stored, tensor_view<T, 2>{y.data(), {m, k}});
          backend.linear_backward(rows, values, tensor_view<T, 2>{expected.data(), {m, k}});
          CHECK_EQ(y, expected);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("nothing of what lies between rows or in y before is read", On, cpu_float, cpu_double, cblas_float,
                   cblas_double, plain_float, plain_double) {
  using T = typename On::scalar;
  typename On::backend backend{2};
  const T bad = std::numeric_limits<T>::quiet_NaN();
  const std::size_t m = 37, n = 70, k = 21, gap = 3;
  auto x = numbers<T>(m * (k + gap), 1), w = numbers<T>(n * (k + gap), 2);
  for (std::size_t i = 0; i < m; ++i) std::fill_n(x.begin() + static_cast<std::ptrdiff_t>(i * (k + gap) + k), gap, bad);
  for (std::size_t i = 0; i < n; ++i) std::fill_n(w.begin() + static_cast<std::ptrdiff_t>(i * (k + gap) + k), gap, bad);
  std::vector<T> y(m * n, bad);
  backend.linear(tensor_view<const T, 2>{x.data(), {m, k}, k + gap}, tensor_view<const T, 2>{w.data(), {n, k}, k + gap},
                 static_cast<const T*>(nullptr), tensor_view<T, 2>{y.data(), {m, n}});
  CHECK(std::ranges::all_of(y, [](T value) { return std::isfinite(value); }));
}

TEST_CASE_TEMPLATE("sums, nonlinearities and the way back through a product", On, cpu_float, cpu_double, cblas_float,
                   cblas_double) {
  using T = typename On::scalar;
  typename On::backend backend{3};
  plain_backend<T> plain{1};
  const std::size_t m = 130, n = 217, k = 50;
  const auto x = numbers<T>(m * k, 1), w = numbers<T>(k * n, 2);
  std::vector<T> turned(n * k), y(m * n), expected(m * n);
  for (std::size_t i = 0; i < k; ++i) {
    for (std::size_t j = 0; j < n; ++j) turned[j * k + i] = w[i * n + j];
  }
  const tensor_view<T, 2> found{y.data(), {m, n}}, right{expected.data(), {m, n}};
  const tensor_view<const T, 2> rows{x.data(), {m, k}};
  backend.linear_backward(rows, tensor_view<const T, 2>{w.data(), {k, n}}, found);
  plain.linear(rows, tensor_view<const T, 2>{turned.data(), {n, k}}, nullptr, right);
  check_close(all(y), all(expected), tolerance<T>, "linear_backward");

  for (const activation kind : {activation::gelu, activation::silu, activation::tanh, activation::relu}) {
    backend.activate(kind, found);
    plain.activate(kind, right);
    check_close(all(y), all(expected), 2 * tolerance<T>, "activate");
  }
  backend.add(tensor_view<const T, 2>{right}, found);
  plain.add(tensor_view<const T, 2>{right}, right);
  check_close(all(y), all(expected), 2 * tolerance<T>, "add");
}

TEST_CASE_TEMPLATE("the user's BLAS gives the same bits for any number of threads", T, float, double) {
  const std::size_t m = 300, hidden = 400, n = 500, heads = 4;
  const auto x = numbers<T>(m * hidden, 1), w = numbers<T>(n * hidden, 2);
  std::vector<T> first, first_z;
  for (const std::size_t threads : {1u, 2u, 5u}) {
    cblas backend = cblas{1}.with_threads(threads);
    CHECK_EQ(backend.pool().size(), threads);
    std::vector<T> y(m * n), z(m * hidden);
    const tensor_view<const T, 2> rows{x.data(), {m, hidden}};
    backend.linear(rows, tensor_view<const T, 2>{w.data(), {n, hidden}}, static_cast<const T*>(nullptr),
                   tensor_view<T, 2>{y.data(), {m, n}});
    const std::array<attention_text<T>, 1> text{{{rows, rows, rows, {z.data(), {m, hidden}}}}};
    backend.attention(std::span<const attention_text<T>>{text}, heads);
    if (first.empty()) {
      first = y;
      first_z = z;
    }
    CHECK_EQ(y, first);
    CHECK_EQ(z, first_z);
  }
}
