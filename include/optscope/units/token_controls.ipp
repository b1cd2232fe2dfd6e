// SPDX-License-Identifier: MIT
#pragma once
// Bodies of token_controls.hpp.

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <numeric>
#include <optscope/units/token_controls.hpp>

namespace optscope {

OPTSCOPE_INLINE void neuron_record::begin(const run_plan& plan) {
  begin_.assign(1, 0);
  for (const std::size_t length : plan.lengths) begin_.push_back(begin_.back() + length);
  values_ = tensor<float, 2>{{neurons_.size(), begin_.back()}};
}

OPTSCOPE_INLINE bool neuron_record::wants(site::mlp_post, std::size_t layer) const {
  return std::any_of(neurons_.begin(), neurons_.end(), [&](const unit& each) { return each.layer == layer; });
}

OPTSCOPE_INLINE void neuron_record::operator()(site::mlp_post, const place& at, tensor_view<const float, 2> rows) {
  for (std::size_t n = 0; n < neurons_.size(); ++n) {
    if (neurons_[n].layer != at.layer) continue;
    float* out = values_.row(n).data() + begin_[at.text];
    for (std::size_t i = 0; i < rows.rows(); ++i) out[i] = rows(i, neurons_[n].index);
  }
}

OPTSCOPE_INLINE highest_tokens::highest_tokens(const unit_table& units)
    : highest_(units.layers() * units.count(unit_kind::neuron), -std::numeric_limits<float>::infinity()),
      tokens_(highest_.size(), -1) {}

OPTSCOPE_INLINE void highest_tokens::operator()(site::mlp_post, const place& at, tensor_view<const float, 2> rows) {
  const window& shown = windows_[at.text];
  for (std::size_t i = 0; i < rows.rows(); ++i) {
    const std::size_t position = at.first_position + i;
    if (position < shown.skip) continue;
    const std::span<const float> values = rows.row(i);
    for (std::size_t n = 0; n < values.size(); ++n) {
      const std::size_t neuron = at.layer * values.size() + n;
      if (!(values[n] > highest_[neuron])) continue;
      highest_[neuron] = values[n];
      tokens_[neuron] = shown.tokens[position];
    }
  }
}

namespace detail {

/// How often something occurs, and the sum of the values there.
struct count_and_sum {
  double count = 0, sum = 0;
};

/// Mean and sum of squared deviations of a neuron's values.
struct value_spread {
  double mean = 0, total = 0;
};

inline value_spread spread_of(std::span<const float> values) {
  value_spread result;
  const auto n = static_cast<double>(values.size());
  for (const float value : values) result.mean += static_cast<double>(value) / n;
  for (const float value : values) {
    result.total += (static_cast<double>(value) - result.mean) * (static_cast<double>(value) - result.mean);
  }
  return result;
}

/// Share of variance between the groups of `label`, adjusted for chance: ε² = 1 - (1 - η²)(n - 1)/(n - groups).
inline double adjusted_share(std::span<const float> values, const value_spread& spread,
                             const std::function<std::size_t(std::size_t)>& label) {
  std::map<std::size_t, count_and_sum> groups;
  for (std::size_t i = 0; i < values.size(); ++i) {
    count_and_sum& group = groups[label(i)];
    group.count += 1;
    group.sum += static_cast<double>(values[i]) - spread.mean;
  }
  double between = 0;
  for (const auto& [unused, group] : groups) between += group.sum * group.sum / group.count;
  const auto n = static_cast<double>(values.size()), k = static_cast<double>(groups.size());
  return n <= k ? std::numeric_limits<double>::quiet_NaN() : 1 - (1 - between / spread.total) * (n - 1) / (n - k);
}

/// Finds the token whose presence explains most.
inline void find_best_token(const std::map<token_id, count_and_sum>& tokens, const value_spread& spread, double n,
                            token_controls& result) {
  for (const auto& [token, group] : tokens) {
    const auto& [count, sum] = group;
    const double apart = sum / count - spread.mean;
    const double share = count < n ? count * apart * apart * n / (n - count) / spread.total : 0;
    if (share < result.by_best || (share == result.by_best && result.best >= 0)) continue;
    result.by_best = share;
    result.best = token;
    result.mean_at_best = sum / count;
    result.mean_elsewhere =
        count < n ? (spread.mean * n - sum) / (n - count) : std::numeric_limits<double>::quiet_NaN();
  }
}

/// Least squares of the values in the category (0 or 1) and every token: by Frisch and Waugh the category's coefficient
/// is that of what each token's mean leaves of the category. Over the difference of the plain means.
inline double gap_beyond_tokens(std::span<const float> values, const recorded_tokens& at, std::size_t category) {
  std::map<token_id, count_and_sum> of_token;  // `sum`: how often it is in the category
  double own = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double in = at.category[i] == category ? 1 : 0;
    count_and_sum& token = of_token[at.token[i]];
    token.count += 1;
    token.sum += in;
    own += in;
  }
  const double others = static_cast<double>(values.size()) - own;
  double gap = 0, along = 0, square = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double in = at.category[i] == category ? 1 : 0, value = static_cast<double>(values[i]);
    const count_and_sum& token = of_token.at(at.token[i]);
    const double left = in - token.sum / token.count;
    gap += in > 0 ? value / own : -value / others;
    along += left * value;
    square += left * left;
  }
  const bool known = own > 0 && others > 0 && gap != 0 && square > 0;
  return known ? along / square / gap : std::numeric_limits<double>::quiet_NaN();
}

}  // namespace detail

OPTSCOPE_INLINE token_controls controls_of(std::span<const float> values, const recorded_tokens& at,
                                           std::size_t category) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  token_controls result;
  const auto n = static_cast<double>(values.size());
  const detail::value_spread spread = detail::spread_of(values);
  if (values.empty() || spread.total <= 1e-12 * n * spread.mean * spread.mean || spread.total == 0) {
    result.by_token = result.by_position = result.by_best = result.gap_beyond_tokens = none;
    result.mean_at_best = result.mean_elsewhere = none;
    return result;
  }
  const auto token = [&](std::size_t i) { return static_cast<std::size_t>(at.token[i]); };
  const auto position = [&](std::size_t i) { return static_cast<std::size_t>(std::bit_width(at.position[i])); };
  result.by_token = detail::adjusted_share(values, spread, token);
  result.by_position = detail::adjusted_share(values, spread, position);

  std::map<token_id, detail::count_and_sum> tokens;
  for (std::size_t i = 0; i < values.size(); ++i) {
    detail::count_and_sum& group = tokens[at.token[i]];
    group.count += 1;
    group.sum += static_cast<double>(values[i]);
  }
  detail::find_best_token(tokens, spread, n, result);
  result.gap_beyond_tokens = detail::gap_beyond_tokens(values, at, category);
  return result;
}

OPTSCOPE_INLINE std::vector<std::size_t> extreme_places(std::span<const float> values,
                                                        const std::vector<token_id>& tokens, std::size_t count,
                                                        extreme which) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return which == extreme::lowest ? values[a] < values[b] : values[a] > values[b];
  });
  std::vector<std::size_t> first, again;
  std::vector<token_id> met;
  for (const std::size_t i : order) {
    if (first.size() == count) break;
    const bool known = std::find(met.begin(), met.end(), tokens[i]) != met.end();
    if (known && again.size() < count) again.push_back(i);
    if (known) continue;
    met.push_back(tokens[i]);
    first.push_back(i);
  }
  for (std::size_t i = 0; first.size() < count && i < again.size(); ++i) first.push_back(again[i]);
  return first;
}

}  // namespace optscope
