// SPDX-License-Identifier: MIT
#pragma once
// Bodies of attention_behaviour.hpp.

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optscope/units/attention_behaviour.hpp>
#include <random>
#include <string>

namespace optscope {

namespace detail {

/// Mean over the positions among `targets` of what `weight(position, key)` adds up to at each.
template <class Targets, class Weight>
double mean_at_targets(const Targets& targets, const Weight& weight) {
  double sum = 0;
  std::size_t positions = 0;
  for (std::size_t i = 0; i < targets.size(); ++i) {
    sum += weight(targets[i].position, targets[i].key);
    if (i == 0 || targets[i].position != targets[i - 1].position) ++positions;
  }
  return sum / static_cast<double>(positions);  // 0 / 0: NaN
}

}  // namespace detail

OPTSCOPE_INLINE attention_behaviour::attention_behaviour(const token_batch& texts)
    : uniform_{{attention_measures.size(), texts.size()}} {
  const auto equal = [](std::size_t position, std::size_t) { return 1 / static_cast<double>(position + 1); };
  for (std::size_t text = 0; text < texts.size(); ++text) {
    const token_list& tokens = texts[text];
    targets& found = texts_.emplace_back();
    found.length = tokens.size();
    double first = 0, entropy = 0;
    for (std::size_t t = 1; t < tokens.size(); ++t) {
      first += equal(t, 0);
      entropy += std::log(static_cast<double>(t + 1));
      for (std::size_t key = 0; key < t; ++key) {
        if (tokens[key] != tokens[t]) continue;
        found.same.push_back({t, key});
        if (key + 1 < t) found.induction.push_back({t, key + 1});
      }
    }
    const auto positions = static_cast<double>(tokens.size()) - 1;
    const auto set = [&](attention_measure which, double value) {
      uniform_(static_cast<std::size_t>(which), text) = value;
    };
    set(attention_measure::first, positions > 0 ? first / positions : std::nan(""));
    set(attention_measure::previous, positions > 1 ? (first - equal(1, 0)) / (positions - 1) : std::nan(""));
    set(attention_measure::same, detail::mean_at_targets(found.same, equal));
    set(attention_measure::induction, detail::mean_at_targets(found.induction, equal));
    set(attention_measure::entropy, positions > 0 ? entropy / positions : std::nan(""));
  }
}

OPTSCOPE_INLINE attention_behaviour& attention_behaviour::only_layers(std::vector<std::size_t> layers) {
  layers_ = std::move(layers);
  return *this;
}

OPTSCOPE_INLINE bool attention_behaviour::wants(site::pattern, std::size_t layer) const {
  return !layers_ || std::ranges::find(*layers_, layer) != layers_->end();
}

OPTSCOPE_INLINE void attention_behaviour::begin(const run_plan& plan) {
  if (layers_ && layers_->empty()) return;
  if (plan.lengths.size() != texts_.size()) {
    throw bad_input{"", "texts of a run", std::to_string(texts_.size()), std::to_string(plan.lengths.size())};
  }
  for (std::size_t text = 0; text < texts_.size(); ++text) {
    if (plan.lengths[text] != texts_[text].length || plan.first_position(text) != 0) {
      plan.refuse(text, "all " + std::to_string(texts_[text].length) + " tokens that attention_behaviour was given",
                  std::to_string(plan.lengths[text]));
    }
  }
  values_ = tensor<double, 4>{{attention_measures.size(), plan.shape.layers, plan.shape.heads, plan.lengths.size()}};
  std::fill_n(values_.data(), values_.size(), std::nan(""));
}

template <class T>
void attention_behaviour::measure(const place& at, tensor_view<const T, 3> pattern) {
  const targets& text = texts_[at.text];
  const std::size_t length = text.length;
  if (length < 2) return;
  for (std::size_t head = 0; head < pattern.extent(0); ++head) {
    double first = 0, previous = 0, entropy = 0;
    for (std::size_t t = 1; t < length; ++t) {
      const T* row = &pattern(head, t, 0);  // (key)
      first += static_cast<double>(row[0]);
      if (t > 1) previous += static_cast<double>(row[t - 1]);
      for (std::size_t key = 0; key <= t; ++key) {
        if (row[key] > 0) entropy -= static_cast<double>(row[key] * std::log(row[key]));
      }
    }
    const auto weight = [&](std::size_t position, std::size_t key) {
      return static_cast<double>(pattern(head, position, key));
    };
    const auto set = [&](attention_measure which, double value) {
      values_(static_cast<std::size_t>(which), at.layer, head, at.text) = value;
    };
    const auto positions = static_cast<double>(length - 1);
    set(attention_measure::first, first / positions);
    if (length > 2) set(attention_measure::previous, previous / (positions - 1));
    set(attention_measure::same, detail::mean_at_targets(text.same, weight));
    set(attention_measure::induction, detail::mean_at_targets(text.induction, weight));
    set(attention_measure::entropy, entropy / positions);
  }
}

OPTSCOPE_INLINE void attention_behaviour::operator()(site::pattern, const place& at,
                                                     tensor_view<const float, 3> pattern) {
  measure(at, pattern);
}
OPTSCOPE_INLINE void attention_behaviour::operator()(site::pattern, const place& at,
                                                     tensor_view<const double, 3> pattern) {
  measure(at, pattern);
}

OPTSCOPE_INLINE token_batch repeated_random_tokens(std::size_t count, std::size_t length, std::size_t vocabulary,
                                                   token_id first, std::uint64_t seed) {
  std::vector<token_id> tokens(vocabulary);
  std::iota(tokens.begin(), tokens.end(), token_id{0});
  std::erase(tokens, first);
  length = std::min(length, tokens.size());
  std::mt19937_64 random{seed};
  token_batch texts;
  for (std::size_t text = 0; text < count; ++text) {
    for (std::size_t i = 0; i < length; ++i) std::swap(tokens[i], tokens[i + random() % (tokens.size() - i)]);
    token_list& all = texts.emplace_back(token_list{first});
    for (int time = 0; time < 2; ++time) {
      all.insert(all.end(), tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(length));
    }
  }
  return texts;
}

}  // namespace optscope
