// SPDX-License-Identifier: MIT
#pragma once
// Bodies of gradient_steps.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/backend/slope.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/units/gradient_steps.hpp>

namespace optscope::detail {

template <class T>
tensor<T, 2> norm_backward(tensor_view<const T, 2> dy, tensor_view<const T, 2> x, const norm_weights<T>& weights,
                           thread_pool& pool) {
  tensor<T, 2> dx{{dy.rows(), dy.cols()}};
  const T part = T{1} / static_cast<T>(x.cols());
  pool.parallel_for(x.rows(), [&](std::size_t row, std::size_t) {
    T mean = 0, square = 0, of_g = 0, of_gx = 0;
    for (const T value : x.row(row)) mean += value * part;
    for (const T value : x.row(row)) square += (value - mean) * (value - mean) * part;
    const T scale = T{1} / std::sqrt(square + static_cast<T>(1e-5));
    const auto g = [&](std::size_t i) { return dy(row, i) * (weights.gamma == nullptr ? T{1} : weights.gamma[i]); };
    const auto normal = [&](std::size_t i) { return (x(row, i) - mean) * scale; };
    for (std::size_t i = 0; i < x.cols(); ++i) {
      of_g += g(i) * part;
      of_gx += g(i) * normal(i) * part;
    }
    for (std::size_t i = 0; i < x.cols(); ++i) dx(row, i) = scale * (g(i) - of_g - normal(i) * of_gx);
  });
  return dx;
}

template <class T>
void nonlinearity_backward(activation kind, tensor_view<const T, 2> shown, std::span<const T> factors,
                           tensor_view<T, 2> gradient, thread_pool& pool) {
  pool.parallel_for(gradient.rows(), [&](std::size_t i, std::size_t) {
    T* const row = gradient.row(i).data();
    const T *const x = shown.row(i).data(), *const factor = factors.data();
    if (kind == activation::relu) {
      simd::run([&, count = gradient.cols() ]() __attribute__((always_inline)) {
        for (std::size_t n = 0; n < count; ++n) row[n] = x[n] > 0 ? row[n] * factor[n] : T{0};
      });
      return;
    }
    for (std::size_t n = 0; n < gradient.cols(); ++n) {
      row[n] *= factor[n] * static_cast<T>(slope_of(kind, static_cast<double>(x[n])));
    }
  });
}

template <class T>
attention_gradients<T> attention_backward(const attention_run<T>& of, tensor_view<const T, 2> dz, bool maps,
                                          thread_pool& pool) {
  const std::size_t hidden = dz.cols(), width = hidden / of.heads, texts = of.first_row.size() - 1;
  const T scale = T{1} / std::sqrt(static_cast<T>(width));
  attention_gradients<T> result;
  result.qkv = tensor<T, 2>{{dz.rows(), 3 * hidden}};
  for (std::size_t text = 0; maps && text < texts; ++text) {
    result.scores.emplace_back(of.pattern[text].shape());
    result.pattern.emplace_back(of.pattern[text].shape());
  }
  pool.parallel_for(texts * of.heads, [&](std::size_t task, std::size_t) {
    const std::size_t text = task / of.heads, head = task % of.heads, begin = of.first_row[text];
    const std::size_t positions = of.first_row[text + 1] - begin, first = head * width;
    if (positions == 0) return;
    const T* const pattern = of.pattern[text].row(head).data();                // (position, key)
    T* const dscores = maps ? result.scores[text].row(head).data() : nullptr;  // (position, key)
    T* const dpattern = maps ? result.pattern[text].row(head).data() : nullptr;
    std::vector<T> dp(positions), v_turned(width * positions);  // (key), (head_dim, key)
    const auto part = [&](tensor_view<const T, 2> x, std::size_t i) { return x.row(begin + i).data() + first; };
    const auto out = [&](std::size_t which, std::size_t i) {
      return result.qkv.data() + (begin + i) * 3 * hidden + which * hidden + first;
    };
    for (std::size_t j = 0; j < positions; ++j) {
      for (std::size_t d = 0; d < width; ++d) v_turned[d * positions + j] = part(of.v, j)[d];
    }
    simd::run([&]() __attribute__((always_inline)) {
      for (std::size_t i = 0; i < positions; ++i) {
        const T* p = pattern + i * positions;
        T mean = 0;
        std::fill(dp.begin(), dp.end(), T{0});
        for (std::size_t d = 0; d < width; ++d) {
          const T each = part(dz, i)[d];
          for (std::size_t j = 0; j <= i; ++j) dp[j] += each * v_turned[d * positions + j];
        }
        for (std::size_t j = 0; j <= i; ++j) {
          for (std::size_t d = 0; d < width; ++d) out(2, j)[d] += p[j] * part(dz, i)[d];
          mean += p[j] * dp[j];
        }
        for (std::size_t j = 0; j <= i; ++j) {
          const T of_score = p[j] * (dp[j] - mean), ds = of_score * scale;
          if (maps) {
            dscores[i * positions + j] = of_score;
            dpattern[i * positions + j] = dp[j];
          }
          for (std::size_t d = 0; d < width; ++d) {
            out(0, i)[d] += ds * part(of.k, j)[d];
            out(1, j)[d] += ds * part(of.q, i)[d];
          }
        }
      }
    });
  });
  return result;
}

#ifdef OPTSCOPE_COMPILED
template tensor<float, 2> norm_backward(tensor_view<const float, 2>, tensor_view<const float, 2>,
                                        const norm_weights<float>&, thread_pool&);
template tensor<double, 2> norm_backward(tensor_view<const double, 2>, tensor_view<const double, 2>,
                                         const norm_weights<double>&, thread_pool&);
template void nonlinearity_backward(activation, tensor_view<const float, 2>, std::span<const float>,
                                    tensor_view<float, 2>, thread_pool&);
template void nonlinearity_backward(activation, tensor_view<const double, 2>, std::span<const double>,
                                    tensor_view<double, 2>, thread_pool&);
template attention_gradients<float> attention_backward(const attention_run<float>&, tensor_view<const float, 2>, bool,
                                                       thread_pool&);
template attention_gradients<double> attention_backward(const attention_run<double>&, tensor_view<const double, 2>,
                                                        bool, thread_pool&);
#endif

}  // namespace optscope::detail
