// SPDX-License-Identifier: MIT
#pragma once
// What else explains a neuron: single tokens, the position; and where it is highest and lowest.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/core/tokens.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// Records a few neurons at every position of a batch: `values()` (neuron, position of all texts).
class neuron_record {
 public:
  using sites = site_list<site::mlp_post>;

  explicit neuron_record(std::vector<unit> neurons) : neurons_{std::move(neurons)} {}

  void begin(const run_plan& plan) {
    begin_.assign(1, 0);
    for (const std::size_t length : plan.lengths) begin_.push_back(begin_.back() + length);
    values_ = tensor<float, 2>{{neurons_.size(), begin_.back()}};
  }
  [[nodiscard]] bool wants(site::mlp_post, std::size_t layer) const {
    return std::any_of(neurons_.begin(), neurons_.end(), [&](const unit& n) { return n.layer == layer; });
  }
  void operator()(site::mlp_post, const place& at, tensor_view<const float, 2> rows) {
    for (std::size_t n = 0; n < neurons_.size(); ++n) {
      if (neurons_[n].layer != at.layer) continue;
      float* out = values_.row(n).data() + begin_[at.text];
      for (std::size_t i = 0; i < rows.rows(); ++i) out[i] = rows(i, neurons_[n].index);
    }
  }

  [[nodiscard]] tensor_view<const float, 2> values() const { return values_.view(); }
  /// Where a text of the batch begins among the positions.
  [[nodiscard]] std::size_t first_of(std::size_t text) const { return begin_[text]; }

 private:
  std::vector<unit> neurons_;
  std::vector<std::size_t> begin_;
  tensor<float, 2> values_;
};

/// Tokens at which neurons were recorded; every list has one entry a token.
struct recorded_tokens {
  std::vector<token_id> token;
  std::vector<std::size_t> position, category;

  [[nodiscard]] std::size_t size() const noexcept { return token.size(); }
};

/// What explains a neuron's activity besides the category. Shares are of its variance over the recorded tokens; NaN
/// where it has none.
struct token_controls {
  double by_token = 0;     ///< by the identity of the token, adjusted for the number of different ones (omega squared)
  double by_position = 0;  ///< by the position in the window, in steps of factor 2, adjusted
  double by_best = 0;      ///< by whether it is the one token that explains most
  token_id best = -1;      ///< that token
  double mean_at_best = 0, mean_elsewhere = 0;
  double gap_beyond_tokens = 0;  ///< the share of the difference between category and rest that is left when each
                                 ///< token's mean over all categories is taken off
};

namespace detail {

/// Share of variance between the groups of `label`, adjusted for chance: 1 - (1 - η²)(n - 1)/(n - groups).
template <class Label>
[[nodiscard]] double adjusted_share(std::span<const float> values, double total, double mean, const Label& label) {
  std::map<std::size_t, std::pair<double, double>> groups;  // count, sum
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto& [count, sum] = groups[label(i)];
    count += 1;
    sum += static_cast<double>(values[i]) - mean;
  }
  double between = 0;
  for (const auto& [unused, group] : groups) between += group.second * group.second / group.first;
  const auto n = static_cast<double>(values.size()), k = static_cast<double>(groups.size());
  return n <= k ? std::numeric_limits<double>::quiet_NaN() : 1 - (1 - between / total) * (n - 1) / (n - k);
}

}  // namespace detail

/// Looks for what explains a neuron that was found for `category`; `values` has one number a token.
[[nodiscard]] inline token_controls controls_of(std::span<const float> values, const recorded_tokens& at,
                                                std::size_t category) {
  constexpr double none = std::numeric_limits<double>::quiet_NaN();
  token_controls result;
  const auto n = static_cast<double>(values.size());
  double mean = 0, total = 0;
  for (const float value : values) mean += static_cast<double>(value) / n;
  for (const float value : values) total += (static_cast<double>(value) - mean) * (static_cast<double>(value) - mean);
  if (values.empty() || total <= 1e-12 * n * mean * mean || total == 0) {
    result.by_token = result.by_position = result.by_best = result.gap_beyond_tokens = none;
    result.mean_at_best = result.mean_elsewhere = none;
    return result;
  }
  result.by_token = detail::adjusted_share(values, total, mean, [&](std::size_t i) { return at.token[i]; });
  result.by_position =
      detail::adjusted_share(values, total, mean, [&](std::size_t i) { return std::bit_width(at.position[i]); });

  std::map<token_id, std::pair<double, double>> tokens;  // count, sum
  for (std::size_t i = 0; i < values.size(); ++i) {
    auto& [count, sum] = tokens[at.token[i]];
    count += 1;
    sum += static_cast<double>(values[i]);
  }
  for (const auto& [token, group] : tokens) {
    const auto& [count, sum] = group;
    const double apart = sum / count - mean;
    const double share = count < n ? count * apart * apart * n / (n - count) / total : 0;
    if (share < result.by_best || (share == result.by_best && result.best >= 0)) continue;
    result.by_best = share;
    result.best = token;
    result.mean_at_best = sum / count;
    result.mean_elsewhere = count < n ? (mean * n - sum) / (n - count) : none;
  }

  double gap = 0, left = 0, own = 0;
  for (const std::size_t c : at.category) own += c == category ? 1 : 0;
  if (own == 0 || own == n) {
    result.gap_beyond_tokens = none;
    return result;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto& [count, sum] = tokens.at(at.token[i]);
    const double sign = at.category[i] == category ? 1 / own : -1 / (n - own);
    gap += sign * static_cast<double>(values[i]);
    left += sign * (static_cast<double>(values[i]) - sum / count);
  }
  result.gap_beyond_tokens = gap == 0 ? none : left / gap;
  return result;
}

/// Indices of the `count` highest values, different tokens only while there are enough of them.
[[nodiscard]] inline std::vector<std::size_t> highest_places(std::span<const float> values,
                                                             const std::vector<token_id>& tokens, std::size_t count,
                                                             bool lowest = false) {
  std::vector<std::size_t> order(values.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return lowest ? values[a] < values[b] : values[a] > values[b];
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
