// SPDX-License-Identifier: MIT
#pragma once
// Bodies of band_chase.hpp.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <optscope/core/errors.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/spectrum/band_chase.hpp>
#include <optscope/spectrum/lapack.hpp>
#include <string>
#include <thread>
#include <utility>

namespace optscope::detail {

/// The reflector I - tau v vᵀ of one step, v (n) with v[0] = 1.
struct reflector {
  std::vector<double> v = std::vector<double>(band_width);
  double tau = 0;
};

/// x (n) with elements `stride` apart becomes (beta, 0, …); `h` is the reflector that does it.
[[gnu::always_inline]] inline void reflect(double* x, std::size_t n, std::size_t stride, reflector& h) {
  double squares = 0;
  for (std::size_t i = 1; i < n; ++i) squares += x[i * stride] * x[i * stride];
  h.v[0] = 1;
  h.tau = 0;
  const double alpha = x[0], beta = -std::copysign(std::sqrt(alpha * alpha + squares), alpha);
  const double scale = squares > 0 ? 1 / (alpha - beta) : 0;
  for (std::size_t i = 1; i < n; ++i) {
    h.v[i] = scale * x[i * stride];
    x[i * stride] = 0;
  }
  if (squares > 0) {
    h.tau = (beta - alpha) / beta;
    x[0] = beta;
  }
}

/// Up to four neighbouring columns of a block, m rows; the loops of whole fours name their vectors.
struct columns_of_four {
  double* first;
  std::size_t stride, count, m;

  typedef double vector __attribute__((vector_size(32), aligned(8), may_alias));  // anywhere in an array
  [[gnu::always_inline]] static vector* at(double* x) { return reinterpret_cast<vector*>(x); }
  [[gnu::always_inline]] static const vector* at(const double* x) { return reinterpret_cast<const vector*>(x); }
  [[nodiscard, gnu::always_inline]] bool whole() const { return count == 4 && m % 4 == 0; }

  /// sum (m) += the columns times factors (count).
  [[gnu::always_inline]] void add_to(double* sum, const double* factors) const {
    if (!whole()) {
      for (std::size_t c = 0; c < count; ++c) {
        for (std::size_t i = 0; i < m; ++i) sum[i] += factors[c] * first[c * stride + i];
      }
      return;
    }
    const double *x0 = first, *x1 = x0 + stride, *x2 = x1 + stride, *x3 = x2 + stride;
    const double f0 = factors[0], f1 = factors[1], f2 = factors[2], f3 = factors[3];
    for (std::size_t i = 0; i < m; i += 4) {
      *at(sum + i) += f0 * *at(x0 + i) + f1 * *at(x1 + i) + (f2 * *at(x2 + i) + f3 * *at(x3 + i));
    }
  }
  /// Columns += x (m) times factors (count).
  [[gnu::always_inline]] void add(const double* x, const double* factors) const {
    if (!whole()) {
      for (std::size_t c = 0; c < count; ++c) {
        for (std::size_t i = 0; i < m; ++i) first[c * stride + i] += factors[c] * x[i];
      }
      return;
    }
    double *x0 = first, *x1 = x0 + stride, *x2 = x1 + stride, *x3 = x2 + stride;
    const double f0 = factors[0], f1 = factors[1], f2 = factors[2], f3 = factors[3];
    for (std::size_t i = 0; i < m; i += 4) {
      const vector value = *at(x + i);
      *at(x0 + i) += f0 * value;
      *at(x1 + i) += f1 * value;
      *at(x2 + i) += f2 * value;
      *at(x3 + i) += f3 * value;
    }
  }
  /// products (count) += factor * <x, column>.
  [[gnu::always_inline]] void dot(const double* x, double factor, double* products) const {
    if (!whole()) {
      for (std::size_t c = 0; c < count; ++c) {
        double sum = 0;
        for (std::size_t i = 0; i < m; ++i) sum += first[c * stride + i] * x[i];
        products[c] += factor * sum;
      }
      return;
    }
    const double *x0 = first, *x1 = x0 + stride, *x2 = x1 + stride, *x3 = x2 + stride;
    vector s0{}, s1{}, s2{}, s3{};
    for (std::size_t i = 0; i < m; i += 4) {
      const vector value = *at(x + i);
      s0 += value * *at(x0 + i);
      s1 += value * *at(x1 + i);
      s2 += value * *at(x2 + i);
      s3 += value * *at(x3 + i);
    }
    products[0] += factor * (s0[0] + s0[1] + (s0[2] + s0[3]));
    products[1] += factor * (s1[0] + s1[1] + (s1[2] + s1[3]));
    products[2] += factor * (s2[0] + s2[1] + (s2[2] + s2[3]));
    products[3] += factor * (s3[0] + s3[1] + (s3[2] + s3[3]));
  }
};

/// Calls `body(j, columns [j, j + 4))` for all columns of a block.
template <class Body>
[[gnu::always_inline]] inline void by_fours(const column_major& block, Body&& body) {
  for (std::size_t j = 0; j < block.cols; j += 4) {
    body(j, columns_of_four{block.at(0, j), block.stride, std::min<std::size_t>(4, block.cols - j), block.rows});
  }
}

/// block (m, n) = block H, H being `h`; then its first column is reflected, `h` becomes that, and block = H block.
inline void right_then_left(const column_major& block, reflector& h) {
  simd::run([&]() __attribute__((always_inline)) {
    double w[band_width] = {}, v[band_width];
    for (std::size_t j = 0; j < block.cols; ++j) v[j] = -h.tau * h.v[j];
    by_fours(
        block, [&](std::size_t j, const columns_of_four& x)
                   __attribute__((always_inline)) { x.add_to(w, h.v.data() + j); });
    by_fours(
        block, [&](std::size_t j, const columns_of_four& x) __attribute__((always_inline)) {
          x.add(w, v + j);
          if (j == 0) reflect(block.data, block.rows, 1, h);
          double products[4] = {};
          x.dot(h.v.data(), -h.tau, products);
          if (j == 0) products[0] = 0;  // the first column is done
          x.add(h.v.data(), products);
        });
  });
}

/// block (m, n) = H block; then its first row is reflected, `h` becomes that, and block = block H.
inline void left_then_right(const column_major& block, reflector& h) {
  simd::run([&]() __attribute__((always_inline)) {
    double w[band_width] = {}, v[band_width];
    by_fours(
        block, [&](std::size_t, const columns_of_four& x) __attribute__((always_inline)) {
          double products[4] = {};
          x.dot(h.v.data(), -h.tau, products);
          x.add(h.v.data(), products);
        });
    reflect(block.data, block.cols, block.stride, h);
    for (std::size_t j = 0; j < block.cols; ++j) v[j] = -h.tau * h.v[j];
    by_fours(
        block, [&](std::size_t j, const columns_of_four& x)
                   __attribute__((always_inline)) { x.add_to(w, h.v.data() + j); });
    w[0] = 0;  // the first row is done
    by_fours(
        block, [&](std::size_t j, const columns_of_four& x) __attribute__((always_inline)) { x.add(w, v + j); });
  });
}

/// The lower triangle of the symmetric block (n, n) = H block H.
inline void both_sides(const column_major& block, const reflector& h) {
  simd::run([&]() __attribute__((always_inline)) {
    const std::size_t n = block.rows;
    const double* v = h.v.data();
    double w[band_width] = {}, minus_v[band_width], minus_w[band_width];
    by_fours(
        block, [&](std::size_t j, const columns_of_four& x) __attribute__((always_inline)) {
          for (std::size_t c = j; c < j + x.count; ++c) {
            w[c] += *block.at(c, c) * v[c];
            for (std::size_t i = c + 1; i < j + x.count; ++i) {
              w[i] += *block.at(i, c) * v[c];
              w[c] += *block.at(i, c) * v[i];
            }
          }
          const std::size_t next = j + x.count;
          const columns_of_four below{block.at(next, j), x.stride, x.count, n - next};
          below.add_to(w + next, v + j);
          below.dot(v + next, 1, w + j);
        });
    double product = 0;
    for (std::size_t i = 0; i < n; ++i) product += w[i] * v[i];
    for (std::size_t i = 0; i < n; ++i) {
      w[i] = h.tau * (w[i] - 0.5 * h.tau * product * v[i]);
      minus_w[i] = -w[i];
      minus_v[i] = -v[i];
    }
    by_fours(
        block, [&](std::size_t j, const columns_of_four& x) __attribute__((always_inline)) {
          for (std::size_t c = j; c < j + x.count; ++c) {
            for (std::size_t i = c; i < j + x.count; ++i) *block.at(i, c) -= v[i] * w[c] + w[i] * v[c];
          }
          const std::size_t next = j + x.count;
          const columns_of_four below{block.at(next, j), x.stride, x.count, n - next};
          below.add(v + next, minus_w + j);
          below.add(w + next, minus_v + j);
        });
  });
}

/// Calls `step(sweep, p, reflector)` for every sweep and p = 0, 1, … until it returns false; step p of a sweep after
/// step p + 1 of the sweep before it. A thread takes a group of sweeps at a time through the cache, one step apart.
/// The calling thread asks `go(fraction)` before each of its groups; the result is false if that returned false.
template <class Step>
[[nodiscard]] bool run_sweeps(std::size_t sweeps, thread_pool& pool, Step&& step, const keep_going& go) {
  constexpr std::size_t group = 8, ended = std::numeric_limits<std::size_t>::max();
  const std::size_t groups = (sweeps + group - 1) / group;
  std::vector<std::atomic<std::size_t>> done(groups);  // [group]: steps of its last sweep
  std::atomic<bool> stopped{false};
  const auto ask = [&](std::size_t g) {
    const double part_left = 1 - static_cast<double>(g) / static_cast<double>(groups);
    try {
      if (!go(1 - part_left * part_left)) stopped = true;
    } catch (...) {
      stopped = true;  // nobody waits for this thread
      throw;
    }
  };
  pool.parallel_for(pool.size(), [&](std::size_t task, std::size_t worker) {
    std::vector<reflector> h(group);
    for (std::size_t g = task; g < groups; g += pool.size()) {
      if (worker == 0) ask(g);
      if (stopped) return;
      const std::size_t first = g * group, count = std::min(group, sweeps - first);
      std::size_t alive = 0;  // the first sweep of the group that is still under way
      for (std::size_t at = 0; alive < count; ++at) {
        if (g > 0 && alive == 0) {
          while (done[g - 1].load(std::memory_order_acquire) < at + 2) {
            if (stopped) return;
            std::this_thread::yield();
          }
        }
        for (std::size_t i = alive; i < count && i <= at; ++i) {
          const bool more = step(first + i, at - i, h[i]);
          if (!more) alive = i + 1;
          if (i + 1 == count) done[g].store(more ? at - i + 1 : ended, std::memory_order_release);
        }
      }
    }
  });
  return !stopped;
}

OPTSCOPE_INLINE bool chase_to_bidiagonal(const band_matrix& band, thread_pool& pool, double* d, double* e,
                                         const keep_going& go) {
  const std::size_t n = band.size, b = band.width, height = 3 * b + 1;  // 2 b above the diagonal, b below
  std::vector<double> numbers(n * height);
  const auto at = [&](std::size_t i, std::size_t j) { return &numbers[j * height + 2 * b + i - j]; };
  for (std::size_t j = 0; j < n; ++j) std::copy_n(&band.diagonals[j * (b + 1)], b + 1, &numbers[j * height + b]);
  if (b > 1) {
    const auto step = [&](std::size_t sweep, std::size_t p, reflector& h) {
      const std::size_t first = sweep + p * b + 1, m = std::min(b, n - first), after = first + m;
      if (p == 0) reflect(at(sweep, first), m, height - 1, h);
      right_then_left({at(first, first), m, m, height - 1}, h);
      if (after == n) return false;
      left_then_right({at(first, after), m, std::min(b, n - after), height - 1}, h);
      return true;
    };
    if (!run_sweeps(n - 2, pool, step, go)) return false;
  }
  for (std::size_t i = 0; i < n; ++i) d[i] = *at(i, i);
  for (std::size_t i = 0; i + 1 < n; ++i) e[i] = b == 0 ? 0.0 : *at(i, i + 1);
  return true;
}

OPTSCOPE_INLINE bool chase_to_tridiagonal(const band_matrix& band, thread_pool& pool, double* d, double* e,
                                          const keep_going& go) {
  const std::size_t n = band.size, b = band.width, height = 2 * b + 1;
  std::vector<double> numbers(n * height);
  const auto at = [&](std::size_t i, std::size_t j) { return &numbers[j * height + i - j]; };
  for (std::size_t j = 0; j < n; ++j) std::copy_n(&band.diagonals[j * (b + 1)], b + 1, &numbers[j * height]);
  if (b > 1) {
    const auto step = [&](std::size_t sweep, std::size_t p, reflector& h) {
      const std::size_t first = sweep + p * b + 1, m = std::min(b, n - first), after = first + m;
      if (p == 0) reflect(at(first, sweep), m, 1, h);
      both_sides({at(first, first), m, m, height - 1}, h);
      if (after == n) return false;
      right_then_left({at(after, first), std::min(b, n - after), m, height - 1}, h);
      return true;
    };
    if (!run_sweeps(n - 2, pool, step, go)) return false;
  }
  for (std::size_t i = 0; i < n; ++i) d[i] = *at(i, i);
  for (std::size_t i = 0; i + 1 < n; ++i) e[i] = b == 0 ? 0.0 : *at(i + 1, i);
  return true;
}

OPTSCOPE_INLINE std::optional<int> band_singular_values(const band_matrix& band, thread_pool& pool,
                                                        std::vector<double>& values, const keep_going& go) {
  std::vector<double> d(band.size), e(band.size), work(4 * band.size);
  if (!chase_to_bidiagonal(band, pool, d.data(), e.data(), [&](double fraction) { return go(0.8 * fraction); }))
    return std::nullopt;
  auto routine = [d = std::move(d), e = std::move(e), work = std::move(work)]() mutable {
    const int info = lapack::bdsqr(static_cast<int>(d.size()), d.data(), e.data(), nullptr, 0, work.data());
    return std::pair{info, std::move(d)};
  };
  auto found = lapack::unless_stopped(std::move(routine), [&] { return go(0.8); });
  if (!found) return std::nullopt;
  values = std::move(found->second);
  for (double& value : values) value = std::ldexp(value, band.exponent);
  return found->first;
}

OPTSCOPE_INLINE std::optional<int> band_eigenvalue_roots(const band_matrix& band, thread_pool& pool,
                                                         std::vector<double>& values, const keep_going& go) {
  std::vector<double> d(band.size), e(band.size);
  if (!chase_to_tridiagonal(band, pool, d.data(), e.data(), [&](double fraction) { return go(0.8 * fraction); }))
    return std::nullopt;
  auto routine = [d = std::move(d), e = std::move(e)]() mutable {
    const int info = lapack::sterf(static_cast<int>(d.size()), d.data(), e.data());
    return std::pair{info, std::move(d)};
  };
  auto found = lapack::unless_stopped(std::move(routine), [&] { return go(0.8); });
  if (!found) return std::nullopt;
  values = std::move(found->second);
  for (double& value : values) value = std::ldexp(std::sqrt(std::max(value, 0.0)), band.exponent);
  std::sort(values.begin(), values.end(), std::greater<>{});
  return found->first;
}

OPTSCOPE_INLINE void require_state(const band_matrix& band, std::size_t size, bool symmetric, const char* method) {
  const bool fits =
      band.size == size && band.symmetric == symmetric && band.width < std::max<std::size_t>(size, 1) &&
      band.diagonals.size() == size * (band.width + 1) &&
      std::all_of(band.diagonals.begin(), band.diagonals.end(), [](double x) { return std::isfinite(x); });
  if (fits) return;
  throw bad_input{"", std::string{method} + ", saved band matrix",
                  "a whole " + std::string{symmetric ? "symmetric" : "upper"} + " band of " + std::to_string(size),
                  "a" + std::string{band.symmetric ? " symmetric" : "n upper"} + " one of " +
                      std::to_string(band.size) + " with " + std::to_string(band.diagonals.size()) + " numbers"};
}

OPTSCOPE_INLINE partly_reduced take_unreduced(band_matrix* state, std::size_t numbers, bool symmetric,
                                              const char* method) {
  if (state == nullptr || state->unreduced.empty()) return {};
  if (state->unreduced.size() != numbers || state->symmetric != symmetric || state->reduced % band_width != 0) {
    throw bad_input{"", std::string{method} + ", saved matrix", std::to_string(numbers) + " numbers",
                    std::to_string(state->unreduced.size()) + ", or of another method"};
  }
  return {std::move(state->unreduced), state->reduced, state->exponent};
}

OPTSCOPE_INLINE void leave_unreduced(partly_reduced matrix, bool symmetric, band_matrix* state) {
  if (state == nullptr) return;
  state->unreduced = std::move(matrix.numbers);
  state->reduced = matrix.reduced;
  state->exponent = matrix.exponent;
  state->symmetric = symmetric;
}

}  // namespace optscope::detail
