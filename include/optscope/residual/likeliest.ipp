// SPDX-License-Identifier: MIT
#pragma once
// Bodies of likeliest.hpp.

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>
#include <numeric>
#include <optscope/opt/probabilities.hpp>
#include <optscope/residual/likeliest.hpp>

namespace optscope {

template <class T>
std::vector<token_belief> likeliest(std::span<const T> logits, std::size_t count, std::size_t tokens) {
  std::vector<std::size_t> order(std::min(tokens, logits.size()));
  std::iota(order.begin(), order.end(), std::size_t{0});
  count = std::min(count, order.size());
  const auto logit = [&](std::size_t id) {
    return std::isnan(logits[id]) ? -std::numeric_limits<T>::infinity() : logits[id];
  };
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](std::size_t a, std::size_t b) { return logit(a) != logit(b) ? logit(a) > logit(b) : a < b; });
  const double all = log_sum_exp(logits);
  std::vector<token_belief> result;
  for (std::size_t place = 0; place < count; ++place) {
    result.push_back({.token = static_cast<token_id>(order[place]),
                      .probability = std::exp(double{logits[order[place]]} - all),
                      .place = place});
  }
  return result;
}

template <class T>
token_belief belief_in(std::span<const T> logits, token_id token) {
  assert(token >= 0 && static_cast<std::size_t>(token) < logits.size());
  const T logit = logits[static_cast<std::size_t>(token)];
  const auto above = std::ranges::count_if(logits, [&](T other) { return other > logit; });
  return {.token = token,
          .probability = std::exp(double{logit} - double{log_sum_exp(logits)}),
          .place = static_cast<std::size_t>(above)};
}

#ifdef OPTSCOPE_COMPILED
template std::vector<token_belief> likeliest(std::span<const float>, std::size_t, std::size_t);
template std::vector<token_belief> likeliest(std::span<const double>, std::size_t, std::size_t);
template token_belief belief_in(std::span<const float>, token_id);
template token_belief belief_in(std::span<const double>, token_id);
#endif

}  // namespace optscope
