// SPDX-License-Identifier: MIT
#pragma once
// A backend with exactly the members of `backend_for`, for one scalar, in plain loops: its arithmetic shares no code
// with the library's.

#include <cmath>
#include <cstddef>
#include <limits>
#include <memory>
#include <optscope/backend/backend.hpp>
#include <optscope/backend/host_backend.hpp>
#include <span>
#include <stdexcept>
#include <vector>

template <class T>
class plain_backend : public optscope::host_backend {
  using in = optscope::tensor_view<const T, 2>;
  using out = optscope::tensor_view<T, 2>;

 public:
  explicit plain_backend(std::size_t threads) : pool_{std::make_shared<optscope::thread_pool>(threads)} {}

  optscope::thread_pool& pool() const { return *pool_; }
  plain_backend with_threads(std::size_t threads) const { return plain_backend{threads}; }
  bool row_invariant() const { return true; }

  void linear(in x, optscope::matrix_view<T> stored, const T* bias, out y) {
    std::vector<T> weights(stored.size());
    stored.copy_to(weights.data());
    const in w{weights.data(), stored.shape()};
    for (std::size_t i = 0; i < y.rows(); ++i) {
      for (std::size_t j = 0; j < y.cols(); ++j) {
        double sum = bias == nullptr ? 0 : static_cast<double>(bias[j]);
        for (std::size_t k = 0; k < x.cols(); ++k) sum += static_cast<double>(x(i, k)) * static_cast<double>(w(j, k));
        y(i, j) = static_cast<T>(sum);
      }
    }
  }

  void layer_norm(in x, const T* gamma, const T* beta, out y) {
    const auto n = static_cast<double>(x.cols());
    for (std::size_t i = 0; i < x.rows(); ++i) {
      double mean = 0, variance = 0;
      for (std::size_t j = 0; j < x.cols(); ++j) mean += static_cast<double>(x(i, j)) / n;
      for (std::size_t j = 0; j < x.cols(); ++j) variance += std::pow(static_cast<double>(x(i, j)) - mean, 2) / n;
      for (std::size_t j = 0; j < x.cols(); ++j) {
        double value = (static_cast<double>(x(i, j)) - mean) / std::sqrt(variance + 1e-5);
        if (gamma != nullptr) value *= static_cast<double>(gamma[j]);
        if (beta != nullptr) value += static_cast<double>(beta[j]);
        y(i, j) = static_cast<T>(value);
      }
    }
  }

  void activate(optscope::activation kind, out x) {
    for (std::size_t i = 0; i < x.rows(); ++i) {
      for (T& value : x.row(i)) {
        switch (kind) {
          case optscope::activation::relu: value = value < 0 ? 0 : value; break;
          case optscope::activation::gelu: value = value / 2 * std::erfc(-value / std::sqrt(T{2})); break;
          case optscope::activation::silu: value = value / (1 + std::exp(-value)); break;
          case optscope::activation::tanh: value = std::tanh(value); break;
          default: throw std::logic_error{"a nonlinearity that this backend does not have"};
        }
      }
    }
  }

  void add(in x, out y) {
    for (std::size_t i = 0; i < x.rows(); ++i) {
      for (std::size_t j = 0; j < x.cols(); ++j) y(i, j) += x(i, j);
    }
  }

  void attention(std::span<const optscope::attention_text<T>> texts, std::size_t heads) {
    for (const optscope::attention_text<T>& text : texts) {
      std::vector<T> memory(heads * text.q.rows() * text.k.rows());
      const optscope::tensor_view<T, 3> square{memory.data(), {heads, text.q.rows(), text.k.rows()}};
      attention_scores(text.q, text.k, square);
      attention_softmax(square);
      attention_mix(optscope::tensor_view<const T, 3>{square}, text.v, text.z);
    }
  }

  void attention_scores(in q, in k, optscope::tensor_view<T, 3> scores) {
    for (std::size_t h = 0; h < scores.rows(); ++h) {
      const std::size_t width = k.cols() / scores.rows();
      for (std::size_t i = 0; i < q.rows(); ++i) {
        for (std::size_t j = 0; j < k.rows(); ++j) {
          double sum = 0;
          for (std::size_t d = h * width; d < (h + 1) * width; ++d) {
            sum += static_cast<double>(q(i, d)) * static_cast<double>(k(j, d));
          }
          const bool later = j > k.rows() - q.rows() + i;
          scores(h, i, j) =
              later ? -std::numeric_limits<T>::infinity() : static_cast<T>(sum / std::sqrt(static_cast<double>(width)));
        }
      }
    }
  }

  void attention_softmax(optscope::tensor_view<T, 3> scores) {
    for (std::size_t h = 0; h < scores.rows(); ++h) {
      for (std::size_t i = 0; i < scores.extent(1); ++i) {
        const std::span<T> row = scores.row(h).subspan(i * scores.extent(2), scores.extent(2));
        T largest = row[0], sum = 0;
        for (const T score : row) largest = score > largest ? score : largest;
        for (T& score : row) sum += score = std::exp(score - largest);
        for (T& share : row) share /= sum;
      }
    }
  }

  void attention_mix(optscope::tensor_view<const T, 3> pattern, in v, out z) {
    for (std::size_t i = 0; i < z.rows(); ++i) {
      for (std::size_t d = 0; d < z.cols(); ++d) {
        const std::size_t h = d / (z.cols() / pattern.rows());
        double sum = 0;
        for (std::size_t j = 0; j < v.rows(); ++j) {
          sum += static_cast<double>(pattern(h, i, j)) * static_cast<double>(v(j, d));
        }
        z(i, d) = static_cast<T>(sum);
      }
    }
  }

 private:
  std::shared_ptr<optscope::thread_pool> pool_;
};

static_assert(optscope::backend_for<plain_backend<float>, float>);
static_assert(optscope::backend_for<plain_backend<double>, double>);
static_assert(!optscope::backend_for<plain_backend<float>, double>);
static_assert(!optscope::gradient_backend_for<plain_backend<float>, float>);
