// SPDX-License-Identifier: MIT
#pragma once
// Single heads in `study`: how alike their z are, and what they attend to.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <optscope/core/students_quantile.hpp>
#include <optscope/core/threads.hpp>
#include <optscope/interop/npy.hpp>
#include <optscope/similarity/blocks.hpp>
#include <optscope/similarity/by_layer.hpp>
#include <optscope/similarity/named_metrics.hpp>
#include <optscope/units/attention_behaviour.hpp>
#include <optscope/units/selectivity.hpp>
#include <string>
#include <vector>

namespace study_heads {

using namespace optscope;

/// All heads under one metric; a head is layer * heads + index, the layers being those that were chosen.
struct of_metric {
  std::string name{};
  tensor<float, 3> similarity{};        // (head, vector, vector)
  std::vector<block_summary> blocks{};  // [head]
  std::vector<std::size_t> order{};     // heads, those that separate the categories best first
};

/// A measure of attention of one head.
struct attention_mean {
  double mean = 0, low = 0, high = 0;  // over texts, with a 95 % interval; NaN where there are none
  std::vector<double> of_category{};   // [category]; empty for induction
  double p = std::nan("");  // of a difference between categories, over all heads and measures; NaN: not tested
};

struct results {
  std::vector<std::size_t> layers{};
  std::size_t heads = 0;  // of a layer
  tensor<float, 4> z{};   // (layer, head, vector, head_dim)
  std::vector<of_metric> metrics{};
  std::vector<std::vector<attention_mean>> attention{};  // [measure][head]
  std::vector<double> uniform{};                         // [measure]: what attention to all positions alike has
  std::vector<std::size_t> measured{};                   // [measure]: texts
  std::size_t repeats = 0, repeated_tokens = 0;          // random texts of the induction score, and tokens repeated

  [[nodiscard]] std::size_t count() const { return layers.size() * heads; }
  [[nodiscard]] std::string name_of(std::size_t head) const {
    return std::to_string(layers[head / heads]) + "." + std::to_string(head % heads);
  }
};

/// z of every head, from (vector, head, head_dim) of each layer.
inline void keep(results& all, const std::vector<tensor_view<const float, 3>>& layers) {
  all.heads = layers[0].extent(1);
  const std::size_t vectors = layers[0].rows(), width = layers[0].extent(2);
  all.z = tensor<float, 4>{{layers.size(), all.heads, vectors, width}};
  for (std::size_t l = 0; l < layers.size(); ++l) {
    for (std::size_t v = 0; v < vectors; ++v) {
      for (std::size_t h = 0; h < all.heads; ++h) {
        for (std::size_t d = 0; d < width; ++d) all.z(l, h, v, d) = layers[l](v, h, d);
      }
    }
  }
}

/// Compares each head's vectors under each metric, and tests all of them together.
inline void compare(results& all, const std::vector<named_metric>& metrics, const vector_labels& labels,
                    std::size_t most, std::uint64_t seed, thread_pool& pool) {
  const std::size_t vectors = all.z.extent(2), width = all.z.extent(3);
  std::vector<tensor_view<const float, 2>> heads;
  for (std::size_t h = 0; h < all.count(); ++h) {
    heads.push_back({all.z.data() + h * vectors * width, std::array{vectors, width}});
  }
  std::vector<tensor<double, 2>> of_texts;
  std::vector<bool> distance;
  for (const named_metric& metric : metrics) {
    layer_similarities found = similarities_by_layer(heads, labels, metric.measure, pool);
    of_texts.insert(of_texts.end(), found.of_texts.begin(), found.of_texts.end());
    distance.insert(distance.end(), heads.size(), metric.distance);
    all.metrics.push_back({.name = metric.name, .similarity = std::move(found.all)});
  }
  const std::vector<block_summary> blocks = similarity_blocks(of_texts, labels.category, most, seed, distance);
  for (std::size_t m = 0; m < metrics.size(); ++m) {
    of_metric& found = all.metrics[m];
    const auto first = blocks.begin() + static_cast<std::ptrdiff_t>(m * heads.size());
    found.blocks.assign(first, first + static_cast<std::ptrdiff_t>(heads.size()));
    found.order.resize(heads.size());
    std::iota(found.order.begin(), found.order.end(), std::size_t{0});
    std::ranges::stable_sort(found.order, std::greater<>{}, [&](std::size_t h) { return found.blocks[h].test.score; });
  }
}

/// Mean over the texts for which `value(text)` is a number, and its interval.
template <class Value>
attention_mean mean_of(std::size_t texts, const Value& value) {
  std::vector<double> known;
  for (std::size_t t = 0; t < texts; ++t) {
    if (const double each = value(t); !std::isnan(each)) known.push_back(each);
  }
  const auto n = static_cast<double>(known.size());
  attention_mean result{.mean = std::accumulate(known.begin(), known.end(), 0.0) / n};  // 0 / 0: NaN
  double square = 0;
  for (const double each : known) square += (each - result.mean) * (each - result.mean);
  const double reach = n < 2 ? std::nan("") : students_quantile(n - 1) * std::sqrt(square / (n - 1) / n);
  result.low = result.mean - reach;
  result.high = result.mean + reach;
  return result;
}

/// What heads attend to in the texts, of categories `category`, and in random tokens that are repeated.
inline void attend(results& all, const attention_behaviour& texts, const std::vector<std::size_t>& category,
                   const attention_behaviour& repeated, std::size_t repeats, std::size_t most, std::uint64_t seed) {
  const std::size_t categories = 1 + *std::ranges::max_element(category);
  std::vector<tensor<float, 2>> tested;  // (text, head)
  std::vector<std::size_t> tested_measure;
  for (std::size_t m = 0; m < attention_measures.size(); ++m) {
    const auto which = static_cast<attention_measure>(m);
    const bool induction = which == attention_measure::induction;
    const attention_behaviour& from = induction ? repeated : texts;
    const std::size_t count = induction ? repeats : category.size();
    const attention_mean uniform = mean_of(count, [&](std::size_t t) { return from.uniform(which, t); });
    all.uniform.push_back(uniform.mean);
    std::size_t known = 0;
    for (std::size_t t = 0; t < count; ++t) known += !std::isnan(from.uniform(which, t));
    all.measured.push_back(known);
    std::vector<attention_mean>& found = all.attention.emplace_back();
    tensor<float, 2> values{{category.size(), all.count()}};
    for (std::size_t head = 0; head < all.count(); ++head) {
      const std::size_t layer = all.layers[head / all.heads], index = head % all.heads;
      const auto value = [&](std::size_t t) { return from(which, layer, index, t); };
      found.push_back(mean_of(count, value));
      for (std::size_t c = 0; c < categories && !induction; ++c) {
        found.back().of_category.push_back(
            mean_of(count, [&](std::size_t t) { return category[t] == c ? value(t) : std::nan(""); }).mean);
      }
      for (std::size_t t = 0; t < count && !induction; ++t) values(t, head) = static_cast<float>(value(t));
    }
    if (induction || known < count) continue;
    tested.push_back(std::move(values));
    tested_measure.push_back(m);
  }
  if (tested.empty()) return;
  std::vector<std::size_t> text_of(category.size());
  std::iota(text_of.begin(), text_of.end(), std::size_t{0});
  const selective_dimensions found =
      find_selective_dimensions({tested.begin(), tested.end()}, text_of, category, most, seed);
  for (const auto* list : {&found.by_layer, &found.best}) {
    for (const selective_dimension& each : *list) {
      all.attention[tested_measure[each.layer]][each.dimension].p = each.p;
    }
  }
}

/// `z-METRIC.npy` (layer, head, vector, vector) and `z-values.npy` (layer, head, vector, head_dim).
inline void write_arrays(const results& all, const std::filesystem::path& data) {
  const std::size_t vectors = all.z.extent(2);
  for (const of_metric& each : all.metrics) {
    const tensor_view<const float, 4> values{each.similarity.data(), {all.layers.size(), all.heads, vectors, vectors}};
    write_npy(data / ("z-" + each.name + ".npy"), values);
  }
  write_npy(data / "z-values.npy", all.z.view());
}

}  // namespace study_heads
