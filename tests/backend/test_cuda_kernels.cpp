// SPDX-License-Identifier: MIT
// The CUDA kernels, run on the CPU by an emulator, against the results of `cpu`. Every case runs with the first thread
// of a block going first and with the last one, so that a barrier that is missing shows.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optscope/backend/cpu.hpp>
#include <optscope/backend/elementwise.hpp>
#include <optscope/probe/operations.hpp>
#include <optscope/probe/running_moments.hpp>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "emulator.hpp"
#include "numbers.hpp"

using namespace optscope;

namespace {

// Calls `name` in float or in double.
#define ON_DEVICE(name, ...)                  \
  [&] {                                       \
    if constexpr (std::is_same_v<T, float>) { \
      emulator::in_float::name(__VA_ARGS__);  \
    } else {                                  \
      emulator::in_double::name(__VA_ARGS__); \
    }                                         \
  }

template <class T>
using part_of = std::conditional_t<std::is_same_v<T, float>, emulator::in_float::attention_part,
                                   emulator::in_double::attention_part>;
template <class T>
using copy_of =
    std::conditional_t<std::is_same_v<T, float>, emulator::in_float::row_copy, emulator::in_double::row_copy>;
template <class T>
constexpr std::size_t ranked_bytes =
    std::is_same_v<T, float> ? sizeof(emulator::in_float::ranked) : sizeof(emulator::in_double::ranked);

/// The largest difference, relative to the largest number; NaN and infinities must be at the same places.
template <class T>
double difference(std::span<const T> expected, std::span<const T> found) {
  REQUIRE_EQ(expected.size(), found.size());
  double largest = 1e-300, worst = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (expected[i] == found[i] || (std::isnan(expected[i]) && std::isnan(found[i]))) {
      if (std::isfinite(found[i])) largest = std::max(largest, std::abs(static_cast<double>(found[i])));
      continue;
    }
    if (!std::isfinite(expected[i]) || !std::isfinite(found[i])) return std::numeric_limits<double>::infinity();
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    worst = std::max(worst, std::abs(static_cast<double>(expected[i]) - static_cast<double>(found[i])));
  }
  return worst / largest;
}
template <class T>
double difference(const std::vector<T>& expected, const std::vector<T>& found) {
  return difference<T>(std::span{expected}, std::span{found});
}

/// Blocks for the kernels that take a column a thread.
emulator::dimensions columns_of(std::size_t columns, std::size_t rows, unsigned threads) {
  return {static_cast<unsigned>((columns + threads - 1) / threads),
          static_cast<unsigned>(std::min<std::size_t>(rows, 2))};
}

std::vector<std::byte> stored(dtype type, const std::vector<float>& values) {
  std::vector<std::byte> bytes(values.size() * size_of(type));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t half =
        type == dtype::f16 ? emulator::float_to_half(values[i]) : emulator::in_float::float_to_bfloat16(values[i]);
    const double wide = values[i];
    const void* const from = type == dtype::f32   ? static_cast<const void*>(&values[i])
                             : type == dtype::f64 ? static_cast<const void*>(&wide)
                                                  : static_cast<const void*>(&half);
    std::memcpy(bytes.data() + i * size_of(type), from, size_of(type));
  }
  return bytes;
}

}  // namespace

TEST_CASE_TEMPLATE("CUDA: LayerNorm and its scale are those of cpu", T, float, double) {
  cpu backend{1};
  for (const bool reversed : {false, true}) {
    for (const auto& [rows, n, threads] :
         {std::tuple<std::size_t, std::size_t, unsigned>{3, 77, 64}, {2, 1, 32}, {1, 768, 256}}) {
      const std::size_t stride = n + 3;
      const auto x = numbers<T>(rows * stride, 1), gamma = numbers<T>(n, 2), beta = numbers<T>(n, 3);
      std::vector<T> expected(rows * n), found(rows * n), scale(rows), wrong(rows, T{2});
      const auto run = [&, rows = rows, n = n, threads = threads](const T* g, const T* b, const T* given, T* y, T* s) {
        emulator::launch({static_cast<unsigned>(rows)}, threads, threads * sizeof(T), reversed,
                         ON_DEVICE(layer_norm, x.data(), stride, n, g, b, given, y, n, s));
      };
      const tensor_view<const T, 2> in{x.data(), {rows, n}, stride};
      backend.layer_norm(in, gamma.data(), beta.data(), tensor_view<T, 2>{expected.data(), {rows, n}});
      run(gamma.data(), beta.data(), nullptr, found.data(), scale.data());
      CHECK(difference(expected, found) < 4 * tolerance<T>);
      for (std::size_t row = 0; row < rows; ++row) {
        CHECK(std::abs(scale[row] - kernel::moments(in.row(row).data(), n).scale) <= tolerance<T> * scale[row]);
      }
      std::vector<T> again(rows * n);
      run(gamma.data(), beta.data(), scale.data(), again.data(), nullptr);
      CHECK_EQ(again, found);  // its own scale gives the same bits
      run(nullptr, nullptr, wrong.data(), again.data(), nullptr);
      backend.layer_norm(in, static_cast<const T*>(nullptr), static_cast<const T*>(nullptr),
                         tensor_view<T, 2>{expected.data(), {rows, n}});
      for (std::size_t i = 0; i < again.size(); ++i) expected[i] *= scale[i / n] / 2;
      CHECK(difference(expected, again) < 4 * tolerance<T>);
    }
  }
}

TEST_CASE_TEMPLATE("CUDA: every nonlinearity is that of cpu", T, float, double) {
  std::vector<T> x(120);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(static_cast<double>(i) / 5 - 12);
  x.insert(x.end(),
           {T{0}, -T{0}, T{1000}, T{-1000}, std::numeric_limits<T>::quiet_NaN(), std::numeric_limits<T>::infinity()});
  const std::size_t rows = 3, columns = x.size() / rows;
  for (int kind = 0; kind <= static_cast<int>(activation::identity); ++kind) {
    CAPTURE(kind);
    std::vector<T> expected = x, found = x;
    cpu{1}.activate(static_cast<activation>(kind), tensor_view<T, 2>{expected.data(), {rows, columns}});
    emulator::launch(columns_of(columns, rows, 32), 32, 0, false,
                     ON_DEVICE(activate, kind, found.data(), columns, rows, columns));
    for (std::size_t i = 0; i < x.size(); ++i) {
      if (std::isnan(expected[i])) {
        CHECK(std::isnan(found[i]));
      } else if (found[i] != expected[i]) {
        CHECK(std::abs(found[i] - expected[i]) <= tolerance<T> * (1 + std::abs(expected[i])));
      }
    }
  }
}

TEST_CASE_TEMPLATE("CUDA: addition, filling, copies and edits", T, float, double) {
  const std::size_t rows = 5, columns = 39, stride = 41;
  const auto x = numbers<T>(rows * stride, 1), y = numbers<T>(rows * stride, 2), values = numbers<T>(columns, 3);
  std::vector<T> expected = y, found = y;
  const auto grid = columns_of(columns, rows, 32);
  cpu{1}.add(tensor_view<const T, 2>{x.data(), {rows, columns}, stride},
             tensor_view<T, 2>{expected.data(), {rows, columns}, stride});
  emulator::launch(grid, 32, 0, false, ON_DEVICE(add, x.data(), stride, found.data(), stride, rows, columns));
  CHECK_EQ(found, expected);

  emulator::launch(grid, 32, 0, false, ON_DEVICE(fill_rows, values.data(), found.data(), stride, rows, columns));
  for (std::size_t i = 0; i < rows * stride; ++i)
    CHECK_EQ(found[i], i % stride < columns ? values[i % stride] : expected[i]);

  const std::vector<copy_of<T>> copies{
      {x.data() + 3, found.data(), 40}, {x.data(), found.data() + 50, 1}, {x.data(), found.data(), 0}};
  emulator::launch({3}, 32, 0, false, ON_DEVICE(copy_rows, copies.data()));
  CHECK(std::equal(found.begin(), found.begin() + 40, x.begin() + 3));
  CHECK_EQ(found[50], x[0]);
  CHECK_EQ(found[51], expected[51] == found[51] ? found[51] : values[51 - stride]);

  // Of rows 1 and 4 the first 13 columns are scaled, the next set, though one was infinite, the others added to.
  std::vector<T> factor(columns, T{1});
  for (std::size_t i = 0; i < 26; ++i) factor[i] = i < 13 ? T{3} : std::numeric_limits<T>::quiet_NaN();
  std::vector<T> edited = x;
  edited[stride + 14] = std::numeric_limits<T>::infinity();
  const std::vector<unsigned long long> listed{1, 4};
  emulator::launch(grid, 32, 0, false,
                   ON_DEVICE(edit, edited.data(), stride, listed.data(), 2, columns, factor.data(), values.data()));
  for (std::size_t i = 0; i < rows * stride; ++i) {
    const std::size_t row = i / stride, column = i % stride;
    const bool unchanged = column >= columns || (row != 1 && row != 4);
    const T scaled = column < 13 ? T{3} * x[i] : column < 26 ? T{0} : x[i];
    CHECK_EQ(edited[i], unchanged ? x[i] : scaled + values[column]);
  }
}

TEST_CASE_TEMPLATE("CUDA: directions are erased as on the host", T, float, double) {
  const std::size_t rows = 3, columns = 45, stride = 50;
  const auto left = numbers<float>(2 * columns, 1), right = numbers<float>(2 * columns, 2),
             bias = numbers<float>(columns, 3);
  const std::vector<double> l(left.begin(), left.end()), r(right.begin(), right.end()), b(bias.begin(), bias.end());
  const auto x = numbers<T>(rows * stride, 4);
  std::vector<T> expected = x;
  erase host{tensor_view<const float, 2>{left.data(), {2, columns}},
             tensor_view<const float, 2>{right.data(), {2, columns}}, bias};
  for (std::size_t row = 0; row < rows; ++row) host(std::span<T>{expected.data() + row * stride, columns}, {});
  for (const bool reversed : {false, true}) {
    std::vector<T> found = x;
    emulator::launch({rows}, 32, (32 + 2) * sizeof(double), reversed,
                     ON_DEVICE(erase, found.data(), stride, columns, 2, l.data(), r.data(), b.data()));
    CHECK(difference(expected, found) < 5 * tolerance<T>);
  }
}

TEST_CASE_TEMPLATE("CUDA: heads whose share was edited are summed again", T, float, double) {
  const std::size_t rows = 3, heads = 4, columns = 37;
  const auto before = numbers<T>(rows * heads * columns, 1), bias = numbers<T>(columns, 2),
             out = numbers<T>(rows * columns, 3);
  std::vector<T> shares = before, expected = out;
  shares[heads * columns + columns + 5] += 1;  // of the second row
  for (std::size_t i = 0; i < columns; ++i) {
    T sum = bias[i];
    for (std::size_t head = 0; head < heads; ++head) sum += shares[(heads + head) * columns + i];
    expected[columns + i] = sum;
  }
  for (const bool reversed : {false, true}) {
    std::vector<T> found = out;
    emulator::launch(
        {rows}, 64, 64 * sizeof(int), reversed,
        ON_DEVICE(sum_heads, shares.data(), before.data(), heads, columns, bias.data(), found.data(), columns));
    CHECK_EQ(found, expected);
  }
}

TEST_CASE_TEMPLATE("CUDA: attention is that of cpu, and its steps have its bits", T, float, double) {
  cpu backend{1};
  for (const bool reversed : {false, true}) {
    for (const auto& shape : {std::pair<std::size_t, std::size_t>{5, 4}, {16, 3}, {80, 8}, {1, 1}}) {
      const std::size_t head_dim = shape.first, tile = shape.second;
      const std::size_t heads = 3, hidden = heads * head_dim, stride = 3 * hidden, longest = 45;
      const unsigned threads = head_dim == 16 ? 64 : 32;
      const auto rows = numbers<T>(longest * stride, 1);  // q, k, v of a position side by side
      // Queries and keys of the texts of a batch: alone, cached ones before, one position.
      const std::vector<std::pair<std::size_t, std::size_t>> sizes{{1, 1}, {7, 7}, {5, 45}, {1, 33}};
      std::vector<std::vector<T>> expected, found, patterns;
      std::vector<attention_text<T>> texts;
      std::vector<part_of<T>> parts;
      for (const auto& [m, t] : sizes) {
        expected.emplace_back(m * hidden);
        found.emplace_back(m * hidden);
        patterns.emplace_back(heads * m * t);
      }
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        const auto [m, t] = sizes[i];
        const T* const q = rows.data() + (t - m) * stride;
        texts.push_back({.q = {q, {m, hidden}, stride},
                         .k = {rows.data() + hidden, {t, hidden}, stride},
                         .v = {rows.data() + 2 * hidden, {t, hidden}, stride},
                         .z = {expected[i].data(), {m, hidden}}});
        parts.push_back({.q = q,
                         .k = rows.data() + hidden,
                         .v = rows.data() + 2 * hidden,
                         .z = found[i].data(),
                         .pattern = i == 2 ? nullptr : patterns[i].data(),
                         .q_stride = stride,
                         .k_stride = stride,
                         .v_stride = stride,
                         .z_stride = hidden,
                         .queries = m,
                         .keys = t});
      }
      backend.attention(std::span{std::as_const(texts)}, heads);
      const std::size_t padded = (tile + 3) / 4 * 4 * head_dim;
      emulator::launch({static_cast<unsigned>((7 + tile - 1) / tile), heads, static_cast<unsigned>(sizes.size())},
                       threads, (threads + padded + tile * longest) * sizeof(T), reversed,
                       ON_DEVICE(attention, parts.data(), head_dim, tile));
      for (std::size_t i = 0; i < sizes.size(); ++i) {
        CAPTURE(i);
        CHECK(difference(expected[i], found[i]) < tolerance<T>);
        const std::size_t m = sizes[i].first, t = sizes[i].second;
        const emulator::dimensions grid{static_cast<unsigned>((m + tile - 1) / tile), heads};
        std::vector<T> square(heads * m * t, T{7}), host(heads * m * t), z(m * hidden);
        emulator::launch(
            grid, threads, padded * sizeof(T), reversed,
            ON_DEVICE(attention_scores, parts[i].q, stride, parts[i].k, stride, m, t, head_dim, tile, square.data()));
        backend.attention_scores(texts[i].q, texts[i].k, tensor_view<T, 3>{host.data(), {heads, m, t}});
        CHECK(difference(host, square) < tolerance<T>);
        emulator::launch(grid, threads, threads * sizeof(T), reversed,
                         ON_DEVICE(attention_softmax, square.data(), m, t, tile));
        backend.attention_softmax(tensor_view<T, 3>{host.data(), {heads, m, t}});
        CHECK(difference(host, square) < 4 * tolerance<T>);
        if (i != 2) CHECK_EQ(square, patterns[i]);
        emulator::launch(
            grid, threads, 0, reversed,
            ON_DEVICE(attention_mix, square.data(), m * t, parts[i].v, stride, m, t, head_dim, tile, z.data(), hidden));
        CHECK_EQ(z, found[i]);
      }
    }
  }
}

TEST_CASE_TEMPLATE("CUDA: attention of a position has the same bits with any tile, cached or not", T, float, double) {
  const std::size_t heads = 2, head_dim = 6, hidden = 12, keys = 21;
  const auto q = numbers<T>(keys * hidden, 1), k = numbers<T>(keys * hidden, 2), v = numbers<T>(keys * hidden, 3);
  const auto attend = [&](std::size_t queries, std::size_t tile) {
    std::vector<T> z(queries * hidden);
    const part_of<T> part{.q = q.data() + (keys - queries) * hidden,
                          .k = k.data(),
                          .v = v.data(),
                          .z = z.data(),
                          .pattern = nullptr,
                          .q_stride = hidden,
                          .k_stride = hidden,
                          .v_stride = hidden,
                          .z_stride = hidden,
                          .queries = queries,
                          .keys = keys};
    emulator::launch({static_cast<unsigned>((queries + tile - 1) / tile), heads}, 32,
                     (32 + (tile + 3) / 4 * 4 * head_dim + tile * keys) * sizeof(T), false,
                     ON_DEVICE(attention, &part, head_dim, tile));
    return std::vector<T>(z.end() - static_cast<std::ptrdiff_t>(hidden), z.end());
  };
  const auto alone = attend(1, 1);
  CHECK_EQ(attend(keys, 1), alone);
  CHECK_EQ(attend(keys, 4), alone);
  CHECK_EQ(attend(5, 16), alone);
}

TEST_CASE_TEMPLATE("CUDA: later keys are hidden", T, float, double) {
  const std::size_t heads = 2, queries = 5, keys = 40;
  std::vector<T> found = numbers<T>(heads * queries * keys, 1), expected = found;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    if (i % keys > keys - queries + i / keys % queries) expected[i] = -9;
  }
  emulator::launch({queries, heads}, 32, 0, false, ON_DEVICE(hide_later_keys, found.data(), queries, keys, T{-9}));
  CHECK_EQ(found, expected);
}

TEST_CASE_TEMPLATE("CUDA: few rows times weights as they are stored", T, float, double) {
  for (const auto& sizes : {std::tuple<std::size_t, std::size_t, std::size_t>{1, 7, 300}, {11, 5, 37}, {8, 9, 256}}) {
    const std::size_t rows = std::get<0>(sizes), n = std::get<1>(sizes), k = std::get<2>(sizes);
    const std::size_t stride = k % 4 == 0 ? k + 4 : k + 1;
    const auto x = numbers<T>(rows * stride, 1), bias = numbers<T>(n, 3);
    for (const dtype type : {dtype::f16, dtype::bf16, dtype::f32, dtype::f64}) {
      if (type == dtype::f64 && sizeof(T) == 4) continue;
      CAPTURE(static_cast<int>(type));
      const std::vector<std::byte> weights = stored(type, numbers<float>(n * k, 2));
      std::vector<T> expected(rows * n), found(rows * n), alone(n), w(n * k);
      convert(weights.data(), type, n * k, w.data());
      for (const bool reversed : {false, true}) {
        cpu{1}.linear(tensor_view<const T, 2>{x.data(), {rows, k}, stride}, tensor_view<const T, 2>{w.data(), {n, k}},
                      bias.data(), tensor_view<T, 2>{expected.data(), {rows, n}});
        const auto product = [&](std::size_t first, std::size_t count, T* y) {
          emulator::launch({static_cast<unsigned>((n + 1) / 2), static_cast<unsigned>((count + 7) / 8)}, 64, 0,
                           reversed,
                           ON_DEVICE(few_rows, x.data() + first * stride, stride, count, weights.data(),
                                     static_cast<int>(type), k, n, k, bias.data(), y, n));
        };
        product(0, rows, found.data());
        CHECK(difference(expected, found) < tolerance<T>);
        product(rows - 1, 1, alone.data());
        CHECK(std::equal(alone.begin(), alone.end(), found.end() - static_cast<std::ptrdiff_t>(n)));

        std::vector<T> converted(n * k);
        emulator::launch(columns_of(k, n, 32), 32, 0, reversed,
                         ON_DEVICE(convert, weights.data(), static_cast<int>(type), k, n, k, converted.data(), k));
        CHECK_EQ(converted, w);
      }
    }
  }
}

TEST_CASE("CUDA: numbers split for tensor cores are exact to fp32's rounding") {
  const std::size_t rows = 4, columns = 70;
  std::vector<float> x = numbers<float>(rows * columns, 1);
  for (std::size_t i = 0; i < columns; ++i) {
    x[i] *= 1e4f;              // a row of large numbers
    x[columns + i] *= 1e-30f;  // of tiny ones
    x[2 * columns + i] = 0;
  }
  x[3 * columns] = 3000;  // an outlier
  std::vector<unsigned short> parts(2 * rows * columns);
  std::vector<float> scale(rows), products(2 * rows * columns), joined(rows * columns);
  const auto grid = columns_of(columns, rows, 32);
  for (const bool reversed : {false, true}) {
    emulator::launch({rows}, 32, 32 * sizeof(float), reversed, [&] {
      emulator::in_float::split_to_half(x.data(), columns, rows, columns, parts.data(), scale.data());
    });
    for (std::size_t i = 0; i < parts.size(); ++i) products[i] = half_to_float(parts[i]);
    emulator::launch(grid, 32, 0, reversed, [&] {
      emulator::in_float::combine_parts(products.data(), 2, rows, columns, 1 / 2048.0f, scale.data(),
                                        static_cast<const float*>(nullptr), joined.data(), columns);
    });
    for (std::size_t row = 0; row < rows; ++row) {
      const std::span in{x.data() + row * columns, columns}, out{joined.data() + row * columns, columns};
      CHECK(difference<float>(in, out) < 0x1p-21);
      CHECK_EQ(std::frexp(scale[row], std::make_unique<int>().get()), 0.5f);  // a power of two
    }
  }
  std::vector<unsigned short> thirds(3 * rows * columns);
  emulator::launch(grid, 32, 0, false,
                   [&] { emulator::in_float::split_to_bfloat16(x.data(), columns, rows, columns, thirds.data()); });
  products.resize(thirds.size());
  for (std::size_t i = 0; i < thirds.size(); ++i) products[i] = bfloat16_to_float(thirds[i]);
  emulator::launch(grid, 32, 0, false, [&] {
    emulator::in_float::combine_parts(products.data(), 3, rows, columns, 1.0f, static_cast<const float*>(nullptr),
                                      static_cast<const float*>(nullptr), joined.data(), columns);
  });
  for (std::size_t i = 0; i < x.size(); ++i) CHECK_EQ(joined[i], x[i]);

  const std::vector<std::byte> halves = stored(dtype::f16, x);
  std::vector<unsigned short> rounded(x.size());
  emulator::launch(grid, 32, 0, false, [&] {
    emulator::in_float::convert_to_bfloat16(halves.data(), 0, columns, rows, columns, rounded.data());
  });
  for (std::size_t i = 0; i < x.size(); ++i) {
    const float half = half_to_float(emulator::float_to_half(x[i]));
    if (std::isfinite(half)) CHECK(std::abs(bfloat16_to_float(rounded[i]) - half) <= std::abs(half) * 0x1p-8f);
  }
}

TEST_CASE("CUDA: an infinity in a row makes its split product NaN, and no other row's") {
  std::vector<float> x = numbers<float>(2 * 33, 1), scale(2);
  x[5] = std::numeric_limits<float>::infinity();
  std::vector<unsigned short> parts(4 * 33);
  emulator::launch({2}, 32, 32 * sizeof(float), false,
                   [&] { emulator::in_float::split_to_half(x.data(), 33, 2, 33, parts.data(), scale.data()); });
  CHECK(std::isnan(scale[0]));
  CHECK(std::isfinite(scale[1]));
}

TEST_CASE_TEMPLATE("CUDA: moments are added with the bits of the host", T, float, double) {
  const std::size_t rows = 9, units = 40, stride = 44;
  const auto x = numbers<T>(rows * stride, 1);
  running_moments host;
  host.start(units);
  std::vector<double> mean(units), squares(units), least(units, std::numeric_limits<double>::infinity()),
      most(units, -std::numeric_limits<double>::infinity());
  for (std::size_t row = 0; row < rows; ++row) host.add(std::span<const T>{x.data() + row * stride, units}, 0, row);
  for (const auto& part : {std::pair<std::size_t, std::size_t>{0, 4}, {4, 5}}) {
    const std::size_t first = part.first, count = part.second;
    emulator::launch({2}, 32, 0, false,
                     ON_DEVICE(add_moments, x.data() + first * stride, stride, count, units, first, mean.data(),
                               squares.data(), least.data(), most.data()));
  }
  for (double& value : squares) value /= static_cast<double>(rows);
  CHECK_EQ(mean, host.mean());
  CHECK_EQ(squares, host.variance());
  CHECK_EQ(least, host.min());
  CHECK_EQ(most, host.max());
}

TEST_CASE_TEMPLATE("CUDA: the largest of each row, the first of equal ones, without those banned and NaN", T, float,
                   double) {
  const std::size_t rows = 2, n = 75, k = 5;
  std::vector<T> x(rows * n);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<T>(i * 7919 % 23);  // many are equal
  x[3] = std::numeric_limits<T>::quiet_NaN();
  x[n + 1] = std::numeric_limits<T>::infinity();
  std::vector<unsigned char> banned(n);
  banned[40] = banned[41] = 1;
  std::vector<T> values(rows * k);
  std::vector<unsigned long long> places(rows * k);
  for (const bool reversed : {false, true}) {
    emulator::launch({rows}, 32, 32 * ranked_bytes<T>, reversed,
                     ON_DEVICE(largest, x.data(), n, 1, n, banned.data(), k, values.data(), places.data()));
    for (std::size_t row = 0; row < rows; ++row) {
      std::vector<std::size_t> order;
      for (std::size_t i = 0; i < n; ++i) {
        if (banned[i] == 0 && !std::isnan(x[row * n + i])) order.push_back(i);
      }
      std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return x[row * n + a] > x[row * n + b]; });
      for (std::size_t i = 0; i < k; ++i) {
        CHECK_EQ(places[row * k + i], order[i]);
        CHECK_EQ(values[row * k + i], x[row * n + order[i]]);
      }
    }
    // Of columns, with fewer rows than are asked for.
    emulator::launch({3}, 32, 32 * ranked_bytes<T>, reversed,
                     ON_DEVICE(largest, x.data() + 4, 1, n, rows, static_cast<const unsigned char*>(nullptr), 3,
                               values.data(), places.data()));
    for (std::size_t column = 0; column < 3; ++column) {
      CHECK_EQ(values[3 * column], std::max(x[4 + column], x[n + 4 + column]));
      CHECK_EQ(places[3 * column + 2], emulator::no_place());
    }
  }
}
