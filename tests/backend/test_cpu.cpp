// SPDX-License-Identifier: MIT
// The bits of the library's own kernels, and their row loops.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/elementwise.hpp>
#include <optscope/backend/product.ipp>
#include <span>
#include <utility>
#include <vector>

#include "numbers.hpp"

using namespace optscope;

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
        if (count == 299 && threads != 3) continue;
        backend.linear(rows.slice(1, count), weight, bias.data(), tensor_view<T, 2>{some.data(), {count, n}});
        CHECK(std::equal(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count * n),
                         together.begin() + static_cast<std::ptrdiff_t>(n)));
      }
    }
  }
}

namespace {

/// Few rows times a stored matrix with vectors of `Bytes`: every element is one chain of additions, with products
/// rounded or fused.
template <class T, int Bytes, dtype Stored>
void check_stored_product() {
  for (const auto& shape : {std::array<std::size_t, 2>{1, 1},
                            {5, 7},
                            {33, 70},
                            {97, 300},
                            {2, 4200}}) {  // the last one's rows are fetched in parts
    const std::size_t n = shape[0], k = shape[1];
    std::vector<std::uint16_t> halves(n * k * size_of(Stored) / 2 + 1);
    const auto random = numbers<float>(halves.size(), 4);
    // Normal and subnormal numbers of both signs.
    std::ranges::transform(random, halves.begin(),
                           [](float x) { return std::bit_cast<std::uint32_t>(x) >> 7 & 0xbfff; });
    if (Stored == dtype::f32 || Stored == dtype::f64) {
      const auto values = numbers<T>(n * k, 5);
      std::memcpy(halves.data(), values.data(), n * k * sizeof(T));
    }
    const matrix_view<T> w{reinterpret_cast<const std::byte*>(halves.data()), Stored, {n, k}};
    const tensor<T, 2> values = w.values_copied();
    const std::size_t most = kernel::most_stored_rows;
    const auto x = numbers<T>(most * k, 1), bias = numbers<T>(n, 3);
    for (const std::size_t m : {std::size_t{1}, std::size_t{3}, std::size_t{8}, most}) {
      std::vector<T> found(m * n), separate(m * n), fused(m * n);
      const tensor_view<const T, 2> rows{x.data(), {m, k}};
      const auto multiply = [&]() __attribute__((always_inline)) {
        kernel::detail::multiply_stored_as<T, Bytes, Stored == dtype::bf16 ? dtype::f16 : Stored>(
            rows, w, bias.data(), {found.data(), {m, n}});
      };
#if defined(__x86_64__)
      if constexpr (Bytes == 64) {
        simd::detail::run_avx512(multiply);
      } else if constexpr (Bytes == 32) {
        simd::detail::run_avx2(multiply);
      } else {
        multiply();
      }
#else
      multiply();
#endif
      for (std::size_t i = 0; i < m * n; ++i) {
        fused[i] = separate[i] = bias[i % n];
        for (std::size_t j = 0; j < k; ++j) {
          const T a = x[i / n * k + j], b = values(i % n, j);
          const volatile T product = a * b;
          separate[i] += product;
          fused[i] = std::fma(a, b, fused[i]);
        }
      }
      CHECK((found == separate || (Bytes > 16 && found == fused)));  // without optimisation nothing is fused
    }
  }
}
template <int Bytes>
void check_stored_products() {
  check_stored_product<float, Bytes, dtype::f16>();
  check_stored_product<float, Bytes, dtype::bf16>();
  check_stored_product<float, Bytes, dtype::f32>();
  check_stored_product<double, Bytes, dtype::f64>();
}

}  // namespace

#if defined(__x86_64__)
TEST_CASE("few rows times a stored matrix, with the vectors of each kind of CPU: the values of plain loops") {
  check_stored_products<16>();
  if (simd::best() >= simd::level::avx2) check_stored_products<32>();
  if (simd::best() >= simd::level::avx512) check_stored_products<64>();
}
#endif

TEST_CASE("a matrix of three blocks is multiplied wherever they lie, also if the last is where an even one would be") {
  const std::size_t rows = 8, depth = 8;  // so that few rows are taken together with all blocks
  const std::vector<float> memory = numbers<float>(4 * rows * depth, 1), x = numbers<float>(depth, 2);
  const auto block = [&](std::size_t i) {
    return matrix_view<float>{tensor_view<const float, 2>{memory.data() + i * rows * depth, {rows, depth}}};
  };
  for (const auto& order : {std::array<std::size_t, 3>{0, 3, 2}, {0, 1, 2}, {2, 0, 1}, {3, 0, 1}}) {
    std::vector<float> found(3 * rows), expected;
    cpu backend{1};
    const float* const none = nullptr;  // no bias
    const tensor_view<const float, 2> one{x.data(), {1, depth}};
    backend.linear(one, matrix_view<float>{block(order[0]), block(order[1]), block(order[2])}, none,
                   tensor_view<float, 2>{found.data(), {1, 3 * rows}});
    const matrix_view<float> all{block(order[0]), block(order[1]), block(order[2])};
    CHECK_EQ(all.rows_in_block(3), rows - 3);
    CHECK_EQ(all.rows_in_block(rows), rows);
    CHECK_EQ(all.slice(1, 2 * rows).rows_in_block(2 * rows - 1), 1);
    for (const std::size_t i : order) {
      for (std::size_t row = 0; row < rows; ++row) {
        float sum = 0;
        for (std::size_t k = 0; k < depth; ++k) sum = std::fma(x[k], block(i).values()(row, k), sum);
        expected.push_back(sum);
      }
    }
    for (std::size_t i = 0; i < found.size(); ++i) CHECK(std::abs(found[i] - expected[i]) <= 1e-5f);
  }
}

TEST_CASE_TEMPLATE("eight bits with a scale in each row: the values, and the same bits in few rows and in many", T,
                   float, double) {
  for (const std::size_t k :
       {std::size_t{40}, std::size_t{33}, std::size_t{1}}) {  // an odd number is not multiplied where it lies
    const std::size_t rows = 13, n = 3 * rows, m = 40;
    std::vector<std::int8_t> bytes(n * k);
    const auto random = numbers<float>(n * k, 7), scales = numbers<float>(n, 8);
    std::ranges::transform(random, bytes.begin(),
                           [](float v) { return static_cast<std::int8_t>(std::lround(v * 60)); });
    bytes[0] = -127;
    const auto block = [&](std::size_t i) {
      return matrix_view<T>{bytes.data() + i * rows * k, scales.data() + i * rows, {rows, k}};
    };
    const matrix_view<T> w{block(0), block(2), block(1)};
    const tensor<T, 2> values = w.values_copied();
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t row = i < rows ? i : i < 2 * rows ? i + rows : i - rows;
      CHECK_EQ(values(i, k - 1), static_cast<T>(bytes[row * k + k - 1]) * static_cast<T>(scales[row]));
    }
    const auto x = numbers<T>(m * std::max(n, k), 1), bias = numbers<T>(n, 3);
    cpu backend{2};
    std::vector<T> many(m * n), back(m * k);
    const tensor_view<const T, 2> all{x.data(), {m, k}};
    backend.linear(all, w, bias.data(), tensor_view<T, 2>{many.data(), {m, n}});
    backend.linear_backward(tensor_view<const T, 2>{x.data(), {m, n}}, w, tensor_view<T, 2>{back.data(), {m, k}});
    for (const std::size_t count : {std::size_t{1}, std::size_t{5}, kernel::most_stored_rows}) {
      std::vector<T> few(count * n);
      backend.linear(all.slice(7, count), w, bias.data(), tensor_view<T, 2>{few.data(), {count, n}});
      CHECK(std::equal(few.begin(), few.end(), many.begin() + static_cast<std::ptrdiff_t>(7 * n)));
    }
    double worst = 0, worst_back = 0;
    for (std::size_t i = 0; i < m; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        double sum = static_cast<double>(bias[j]);
        for (std::size_t c = 0; c < k; ++c)
          sum += static_cast<double>(x[i * k + c]) * static_cast<double>(values(j, c));
        worst = std::max(worst, std::abs(sum - static_cast<double>(many[i * n + j])));
      }
      for (std::size_t c = 0; c < k; ++c) {
        double sum = 0;
        for (std::size_t j = 0; j < n; ++j)
          sum += static_cast<double>(x[i * n + j]) * static_cast<double>(values(j, c));
        worst_back = std::max(worst_back, std::abs(sum - static_cast<double>(back[i * k + c])));
      }
    }
    CHECK(worst < 1000 * tolerance<T>);  // of values up to 1000
    CHECK(worst_back < 1000 * tolerance<T>);
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
