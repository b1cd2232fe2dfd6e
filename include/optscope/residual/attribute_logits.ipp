// SPDX-License-Identifier: MIT
#pragma once
// Bodies of attribute_logits.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/residual/attribute_logits.hpp>

namespace optscope {

OPTSCOPE_INLINE double logit_attribution::error() const {
  double worst = 0;
  for (std::size_t pair = 0; pair < difference.rows(); ++pair) {
    for (std::size_t vector = 0; vector < difference.extent(1); ++vector) {
      double sum = 0;
      for (std::size_t component = 0; component < components.size(); ++component) {
        sum += shares(pair, component, vector);
      }
      const double deviation = std::abs(sum - difference(pair, vector));
      if (deviation > worst || std::isnan(deviation)) worst = deviation;
    }
  }
  return worst == 0 ? 0 : worst / largest_logit;
}

namespace detail {

template <class T>
logit_directions<T>::logit_directions(const architecture& shape, const outer_weights<T>& outer,
                                      const matrix_view<T>& unembedding, std::span<const logit_pair> pairs,
                                      const std::string& model)
    : norm_{shape.final_layer_norm},
      biases_(pairs.size()),
      answer_{{pairs.size(), unembedding.cols()}},
      instead_{{pairs.size(), unembedding.cols()}} {
  const std::size_t hidden = shape.hidden, narrow = unembedding.cols(), count = pairs.size();
  std::vector<T> row(std::max(hidden, narrow));
  const auto read = [&](token_id token, std::span<double> to) {
    if (token < 0 || static_cast<std::size_t>(token) >= unembedding.rows()) {
      throw bad_input{model, "token of an attribution", "an id below " + std::to_string(unembedding.rows()),
                      std::to_string(token)};
    }
    unembedding.copy_rows(static_cast<std::size_t>(token), 1, row.data());
    std::copy_n(row.begin(), narrow, to.begin());
  };
  tensor<double, 2> u{{narrow, count}};  // the difference of unembeddings
  for (std::size_t pair = 0; pair < count; ++pair) {
    read(pairs[pair].answer, answer_.row(pair));
    if (pairs[pair].instead) read(*pairs[pair].instead, instead_.row(pair));
    for (std::size_t i = 0; i < narrow; ++i) u(i, pair) = answer_(pair, i) - instead_(pair, i);
  }
  if (outer.project_out.size() == 0) {
    directions_.assign(u.data(), u.data() + u.size());
  } else {
    directions_.assign(hidden * count, 0);
    for (std::size_t i = 0; i < narrow; ++i) {
      outer.project_out.copy_rows(i, 1, row.data());  // (hidden)
      for (std::size_t j = 0; j < hidden; ++j) {
        for (std::size_t pair = 0; pair < count; ++pair) directions_[j * count + pair] += double{row[j]} * u(i, pair);
      }
    }
  }
  if (!norm_) return;
  std::vector<double> mean(count);
  for (std::size_t j = 0; j < hidden; ++j) {
    for (std::size_t pair = 0; pair < count; ++pair) {
      double& direction = directions_[j * count + pair];
      if (outer.final_norm.beta != nullptr) biases_[pair] += direction * outer.final_norm.beta[j];
      if (outer.final_norm.gamma != nullptr) direction *= outer.final_norm.gamma[j];
      mean[pair] += direction / static_cast<double>(hidden);
    }
  }
  for (std::size_t j = 0; j < hidden; ++j) {
    for (std::size_t pair = 0; pair < count; ++pair) directions_[j * count + pair] -= mean[pair];
  }
}

template <class T>
void logit_directions<T>::products(std::span<const T> values, double* shares, std::size_t stride) const {
  const std::size_t count = size();
  std::vector<double> sums(count);
  for (std::size_t j = 0; j < values.size(); ++j) {
    const double value = values[j];
    const double* const direction = directions_.data() + j * count;
    for (std::size_t pair = 0; pair < count; ++pair) sums[pair] += value * direction[pair];
  }
  for (std::size_t pair = 0; pair < count; ++pair) shares[pair * stride] = sums[pair];
}

template <class T>
double logit_directions<T>::scale(std::span<const T> stream) const {
  if (!norm_) return 1;
  const double width = static_cast<double>(stream.size());
  double mean = 0, variance = 0;
  for (const T value : stream) mean += value / width;
  for (const T value : stream) variance += (value - mean) * (value - mean) / width;
  return std::sqrt(variance + 1e-5);
}

template <class T>
void logit_directions<T>::differences(tensor_view<const T, 2> last, logit_attribution& to) const {
  to.difference.resize({size(), last.rows()});
  for (std::size_t pair = 0; pair < size(); ++pair) {
    for (std::size_t row = 0; row < last.rows(); ++row) {
      double answer = 0, instead = 0;
      for (std::size_t i = 0; i < last.cols(); ++i) {
        answer += last(row, i) * answer_(pair, i);
        instead += last(row, i) * instead_(pair, i);
      }
      to.difference(pair, row) = answer - instead;
      to.largest_logit = std::max({to.largest_logit, std::abs(answer), std::abs(instead)});
    }
  }
}

#ifdef OPTSCOPE_COMPILED
template class logit_directions<float>;
template class logit_directions<double>;
#endif

}  // namespace detail
}  // namespace optscope
