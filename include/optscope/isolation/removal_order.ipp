// SPDX-License-Identifier: MIT
#pragma once
// Bodies of removal_order.hpp.

#include <algorithm>
#include <cmath>
#include <functional>
#include <iterator>
#include <optscope/isolation/removal_order.hpp>
#include <random>

namespace optscope {

OPTSCOPE_INLINE std::vector<std::size_t> order_of_removal(const std::vector<double>& score, const unit_table& units,
                                                          unit_kind kind, const std::vector<std::size_t>& layers,
                                                          removal_order order, std::uint64_t seed) {
  std::vector<std::size_t> numbers;
  for (const std::size_t layer : layers) {
    for (std::size_t i = 0; i < units.count(kind); ++i) numbers.push_back(units.first(kind, layer) + i);
  }
  const auto scored =
      std::stable_partition(numbers.begin(), numbers.end(), [&](std::size_t u) { return !std::isnan(score[u]); });
  if (order == removal_order::random) {
    std::mt19937_64 bits{seed};
    for (auto end = scored - numbers.begin(); end > 1; --end) {
      std::swap(numbers[static_cast<std::size_t>(end - 1)], numbers[bits() % static_cast<std::size_t>(end)]);
    }
  } else {
    std::stable_sort(numbers.begin(), scored, [&](std::size_t a, std::size_t b) {
      return order == removal_order::by_score ? score[a] > score[b] : score[a] < score[b];
    });
  }
  return numbers;
}

OPTSCOPE_INLINE std::size_t unit_ordering::count() const {
  std::size_t result = 0;
  for (const unit_kind kind : what_.kinds) result += what_.layers.size() * units_.count(kind);
  return result;
}

OPTSCOPE_INLINE std::vector<std::size_t> unit_ordering::all() const {
  std::vector<std::size_t> numbers;
  for (const std::size_t layer : what_.layers) {
    for (const unit_kind kind : what_.kinds) {
      for (std::size_t i = 0; i < units_.count(kind); ++i) numbers.push_back(units_.first(kind, layer) + i);
    }
  }
  return numbers;
}

namespace detail {

/// Two orders as one: each unit stands at its rank over its kind's number, the second kind's times three.
inline std::vector<std::size_t> interleave_kinds(const std::vector<std::size_t>& neurons,
                                                 const std::vector<std::size_t>& heads) {
  std::vector<std::pair<double, std::size_t>> ranked;
  const auto add = [&](const std::vector<std::size_t>& numbers, double pace) {
    for (std::size_t i = 0; i < numbers.size(); ++i) {
      ranked.emplace_back(pace * static_cast<double>(i) / static_cast<double>(numbers.size()), numbers[i]);
    }
  };
  add(neurons, 1);
  add(heads, 3);
  std::stable_sort(ranked.begin(), ranked.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<std::size_t> result;
  for (const auto& [rank, number] : ranked) result.push_back(number);
  return result;
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<std::size_t> unit_ordering::order_in(const std::vector<std::size_t>& layers,
                                                                 std::vector<double> score, removal_order order,
                                                                 std::uint64_t seed) const {
  std::vector<std::vector<std::size_t>> by_kind;
  for (const unit_kind kind : what_.kinds) {
    by_kind.push_back(order_of_removal(score, units_, kind, layers, order, seed));
    if (what_.even && kind == unit_kind::neuron) interleave_layers(by_kind.back(), score);
  }
  if (by_kind.size() == 1) return by_kind[0];
  if (!what_.absolute_scores || order == removal_order::random) {
    return detail::interleave_kinds(by_kind[0], by_kind[1]);
  }
  std::vector<std::size_t> numbers = by_kind[0];
  numbers.insert(numbers.end(), by_kind[1].begin(), by_kind[1].end());
  std::stable_sort(numbers.begin(), numbers.end(), [&](std::size_t a, std::size_t b) {
    return order == removal_order::by_score ? score[a] > score[b] : score[a] < score[b];
  });
  return numbers;
}

/// Orders neurons by their rank within their layers; those of one rank get their mean score.
OPTSCOPE_INLINE void unit_ordering::interleave_layers(std::vector<std::size_t>& neurons,
                                                      std::vector<double>& score) const {
  std::vector<std::vector<std::size_t>> ranks;  // [rank][layer]
  std::vector<std::size_t> seen(units_.layers());
  for (const std::size_t u : neurons) {
    const std::size_t rank = seen[units_[u].layer]++;
    if (rank == ranks.size()) ranks.emplace_back();
    ranks[rank].push_back(u);
  }
  neurons.clear();
  for (const std::vector<std::size_t>& of_rank : ranks) {
    double sum = 0;
    for (const std::size_t u : of_rank) sum += score[u];
    for (const std::size_t u : of_rank) score[u] = sum / static_cast<double>(of_rank.size());
    neurons.insert(neurons.end(), of_rank.begin(), of_rank.end());
  }
}

OPTSCOPE_INLINE std::vector<std::size_t> unit_ordering::first(std::vector<std::size_t> numbers,
                                                              std::size_t count) const {
  numbers.resize(std::min(count, numbers.size()));
  if (!what_.even) return numbers;
  const auto is_neuron = [&](std::size_t u) { return units_[u].kind == unit_kind::neuron; };
  std::vector<std::size_t> neurons(units_.layers()), seen(units_.layers());  // [layer]
  for (const std::size_t u : numbers) neurons[units_[u].layer] += is_neuron(u);
  std::size_t fewest = numbers.size();
  for (const std::size_t layer : what_.layers) fewest = std::min(fewest, neurons[layer]);
  std::erase_if(numbers, [&](std::size_t u) {
    if (!is_neuron(u)) return false;
    const std::size_t rank = seen[units_[u].layer]++;
    return rank >= fewest;
  });
  return numbers;
}

OPTSCOPE_INLINE removal removal_of(std::span<const std::size_t> numbers, const activity& active, std::size_t kept,
                                   replacement with) {
  const unit_table& units = active.sums.units();
  const std::size_t categories = active.groups.categories();
  const auto mean_of = [&](const std::function<double(std::size_t)>& in_category) {
    if (with == replacement::kept_mean) return static_cast<float>(in_category(kept));
    double sum = 0;
    for (std::size_t c = 0; c < categories; ++c) sum += in_category(c);
    return static_cast<float>(sum / static_cast<double>(categories));
  };
  const auto neuron_mean = [&](std::size_t number) {
    return mean_of([&](std::size_t c) {
      return active.sums.sum(c, unit_statistic::mean)[number] / static_cast<double>(active.groups.texts(c));
    });
  };
  std::vector<std::size_t> sorted(numbers.begin(), numbers.end());
  std::sort(sorted.begin(), sorted.end());
  removal result;
  result.layers.resize(units.layers());
  for (const std::size_t number : sorted) {
    const unit what = units[number];
    layer_removal& layer = result.layers[what.layer];
    if (what.kind == unit_kind::neuron) {
      layer.neurons.push_back(what.index);
      if (with != replacement::zero) layer.neuron_values.push_back(neuron_mean(number));
    } else if (what.kind == unit_kind::head) {
      layer.heads.push_back(what.index);
      if (with == replacement::zero) continue;
      const std::size_t width = active.heads(kept, what.layer, what.index).size();
      for (std::size_t d = 0; d < width; ++d) {
        layer.head_values.push_back(mean_of([&](std::size_t c) { return active.heads(c, what.layer, what.index)[d]; }));
      }
    }
  }
  return result;
}

OPTSCOPE_INLINE double overlap(std::vector<std::size_t> a, std::vector<std::size_t> b) {
  std::sort(a.begin(), a.end());
  std::sort(b.begin(), b.end());
  std::vector<std::size_t> both;
  std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), std::back_inserter(both));
  const std::size_t all = a.size() + b.size() - both.size();
  return all == 0 ? 1 : static_cast<double>(both.size()) / static_cast<double>(all);
}

}  // namespace optscope
