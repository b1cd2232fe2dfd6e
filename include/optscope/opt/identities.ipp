// SPDX-License-Identifier: MIT
#pragma once
// Bodies of identities.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/opt/identities.hpp>
#include <span>

namespace optscope {
namespace detail {

template <class T>
void add_rows(tensor_view<const T, 2> rows, std::vector<double>& sum) {
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    for (std::size_t i = 0; i < rows.cols(); ++i) sum[row * rows.cols() + i] += rows(row, i);
  }
}

/// Raises `worst` to the largest deviation of `sum` from `rows`; NaN stays.
template <class T>
void raise_to_deviation(const std::vector<double>& sum, tensor_view<const T, 2> rows, double& worst) {
  double largest = 0, deviation = 0;
  const auto raise = [](double& most, double value) {
    if (value > most || std::isnan(value)) most = value;
  };
  for (std::size_t row = 0; row < rows.rows(); ++row) {
    for (std::size_t i = 0; i < rows.cols(); ++i) {
      const double value = rows(row, i);
      raise(largest, std::abs(value));
      raise(deviation, std::abs(sum[row * rows.cols() + i] - value));
    }
  }
  if (deviation != 0) raise(worst, deviation / largest);
}

}  // namespace detail

template <class Scalar>
void residual_identities<Scalar>::add_layer(const layer_weights<Scalar>& weights) {
  const auto values = [&](const Scalar* from, double otherwise) {
    std::vector<double> result(shape_.hidden, otherwise);
    if (from != nullptr) std::copy_n(from, shape_.hidden, result.begin());
    return result;
  };
  weights_.push_back({.bias = values(weights.out.bias, 0),
                      .gamma1 = values(weights.ln1.gamma, 1),
                      .beta1 = values(weights.ln1.beta, 0),
                      .gamma2 = values(weights.ln2.gamma, 1),
                      .beta2 = values(weights.ln2.beta, 0)});
}

template <class Scalar>
void residual_identities<Scalar>::begin(const run_plan& plan) {
  attention_ = mlp_ = heads_ = contributions_ = 0;
  texts_.assign(plan.lengths.size(), {});
  for (std::size_t text = 0; text < texts_.size(); ++text) {
    const std::vector<double> zeros(plan.lengths[text] * plan.shape.hidden);
    texts_[text] = {.all = zeros, .stream = zeros, .heads = zeros, .scale = std::vector<double>(plan.lengths[text])};
  }
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::embed, const place& at, tensor_view<const Scalar, 2> rows) {
  detail::add_rows(rows, texts_[at.text].all);
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::pos_embed, const place& at, tensor_view<const Scalar, 2> rows) {
  detail::add_rows(rows, texts_[at.text].all);
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::resid_pre, const place& at, tensor_view<const Scalar, 2> rows) {
  keep(at, rows);
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::result, const place& at, tensor_view<const Scalar, 3> by_head) {
  std::vector<double>& sum = texts_[at.text].heads;
  for (std::size_t row = 0; row < by_head.extent(0); ++row) {
    const std::span<const Scalar> heads = by_head.row(row);  // (head, hidden)
    for (std::size_t i = 0; i < shape_.hidden; ++i) {
      double total = weights_[at.layer].bias[i];
      for (std::size_t head = 0; head < by_head.extent(1); ++head) total += heads[head * shape_.hidden + i];
      sum[row * shape_.hidden + i] = total;
    }
  }
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::attn_out, const place& at, tensor_view<const Scalar, 2> rows) {
  detail::raise_to_deviation(texts_[at.text].heads, rows, heads_);
  contribute(at, rows);
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::ln1_scale, const place& at, tensor_view<const Scalar, 2> rows) {
  keep_scale(at, rows);
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::resid_mid, const place& at, tensor_view<const Scalar, 2> rows) {
  const layer_vectors& weights = weights_[at.layer];
  normalize(at, weights.gamma1, weights.beta1);
  detail::raise_to_deviation(texts_[at.text].stream, rows, attention_);
  keep(at, rows);
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::mlp_out, const place& at, tensor_view<const Scalar, 2> rows) {
  contribute(at, rows);
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::ln2_scale, const place& at, tensor_view<const Scalar, 2> rows) {
  keep_scale(at, rows);
}

template <class Scalar>
void residual_identities<Scalar>::operator()(site::resid_post, const place& at, tensor_view<const Scalar, 2> rows) {
  const layer_vectors& weights = weights_[at.layer];
  normalize(at, weights.gamma2, weights.beta2);
  detail::raise_to_deviation(texts_[at.text].stream, rows, mlp_);
  detail::raise_to_deviation(texts_[at.text].all, rows, contributions_);
}

template <class Scalar>
void residual_identities<Scalar>::keep(const place& at, tensor_view<const Scalar, 2> rows) {
  std::vector<double>& stream = texts_[at.text].stream;
  std::ranges::fill(stream, 0.0);
  detail::add_rows(rows, stream);
}

template <class Scalar>
void residual_identities<Scalar>::keep_scale(const place& at, tensor_view<const Scalar, 2> rows) {
  for (std::size_t row = 0; row < rows.rows(); ++row) texts_[at.text].scale[row] = rows(row, 0);
}

template <class Scalar>
void residual_identities<Scalar>::contribute(const place& at, tensor_view<const Scalar, 2> rows) {
  detail::add_rows(rows, texts_[at.text].stream);
  detail::add_rows(rows, texts_[at.text].all);
}

/// Post-LN: both sums through the LayerNorm, which divides by the scale that was seen.
template <class Scalar>
void residual_identities<Scalar>::normalize(const place& at, const std::vector<double>& gamma,
                                            const std::vector<double>& beta) {
  if (shape_.pre_layer_norm) return;
  text_sums& text = texts_[at.text];
  for (std::vector<double>* sum : {&text.stream, &text.all}) {
    for (std::size_t row = 0; row < text.scale.size(); ++row) {
      double* const x = sum->data() + row * shape_.hidden;
      double mean = 0;
      for (std::size_t i = 0; i < shape_.hidden; ++i) mean += x[i] / static_cast<double>(shape_.hidden);
      for (std::size_t i = 0; i < shape_.hidden; ++i) x[i] = (x[i] - mean) / text.scale[row] * gamma[i] + beta[i];
    }
  }
}

#ifdef OPTSCOPE_COMPILED
template class residual_identities<float>;
template class residual_identities<double>;
#endif

}  // namespace optscope
