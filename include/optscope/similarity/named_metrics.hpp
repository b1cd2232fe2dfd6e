// SPDX-License-Identifier: MIT
#pragma once
// Metrics by name, without their types: what programs choose from.

#include <functional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/metrics.hpp>
#include <optscope/similarity/set_metrics.hpp>
#include <optscope/similarity/similarity.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace optscope {

/// A metric without its type: the similarity matrix (vector, vector) of vectors (vector, width). Called on several
/// threads at once.
using similarity_function = std::function<tensor<float, 2>(tensor_view<const float, 2> vectors)>;

/// The same of whole sets: (set, set).
using set_similarity_function = std::function<tensor<float, 2>(const std::vector<tensor_view<const float, 2>>& sets)>;

/// `similarity` under a metric that needs no arguments.
template <metric Metric>
[[nodiscard]] similarity_function similarity_under() {
  return [](tensor_view<const float, 2> vectors) { return similarity<Metric>(vectors); };
}

template <class Function>
struct named_function {
  std::string name{};
  Function measure{};
  bool distance = false;  ///< small is alike
};
using named_metric = named_function<similarity_function>;
using named_set_metric = named_function<set_similarity_function>;

/// A metric of pairs by its `name`.
template <metric Metric>
[[nodiscard]] named_metric named() {
  return {.name = Metric::name, .measure = similarity_under<Metric>(), .distance = is_distance<Metric>};
}
/// A metric of sets by its `name`.
template <set_metric Metric>
[[nodiscard]] named_set_metric named() {
  return {.name = Metric::name,
          .measure = [](const std::vector<tensor_view<const float, 2>>& sets) { return similarity<Metric>(sets); },
          .distance = is_distance<Metric>};
}

/// `cosine`, `scaled_cosine`, `centred_cosine`, `whitened_cosine`, `pca_cosine`, `euclidean`, `rbf`.
[[nodiscard]] std::vector<named_metric> pair_metrics();
/// `cka`, `cka_debiased`, `procrustes`, `svcca`, `subspace_angles`.
[[nodiscard]] std::vector<named_set_metric> set_metrics();

/// The one of that name, which must be among them.
template <class Function>
[[nodiscard]] const named_function<Function>& by_name(const std::vector<named_function<Function>>& metrics,
                                                      std::string_view name) {
  for (const auto& each : metrics) {
    if (each.name == name) return each;
  }
  return metrics.at(metrics.size());
}

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/named_metrics.ipp>
#endif
