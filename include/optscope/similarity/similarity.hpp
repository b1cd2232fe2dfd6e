// SPDX-License-Identifier: MIT
#pragma once
// Similarity matrices: of vectors, and of whole sets of vectors.

#include <cstddef>
#include <iterator>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/metrics.hpp>
#include <optscope/similarity/set_metrics.hpp>
#include <optscope/similarity/vectors.hpp>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

namespace optscope {

namespace detail {
/// matrix(i, j) = measure(i, j) for all pairs of n, or of half of them and mirrored.
template <class T, class Measure>
[[nodiscard]] tensor<T, 2> matrix_of_pairs(std::size_t n, bool symmetric, const Measure& measure) {
  tensor<T, 2> matrix{{n, n}};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < (symmetric ? i + 1 : n); ++j) {
      matrix(i, j) = static_cast<T>(measure(i, j));
      if (symmetric) matrix(j, i) = matrix(i, j);
    }
  }
  return matrix;
}

/// The same for the rows of a set.
template <class T, class Metric, class U>
[[nodiscard]] tensor<T, 2> matrix_of_rows(tensor_view<const U, 2> rows, const Metric& measure) {
  return matrix_of_pairs<T>(rows.rows(), is_symmetric<Metric>, [&](std::size_t i, std::size_t j) {
    return measure(std::span<const U>{rows.row(i)}, std::span<const U>{rows.row(j)});
  });
}
}  // namespace detail

/// Every vector of a set (vector, width) against every other: (vector, vector), in the order of the rows, in the scalar
/// of the vectors. Entry (i, j) is measure(row i, row j). Cost: n² calls of the metric, or half of them if it is
/// `symmetric`.
///
///     const auto matrix = similarity<scaled_cosine>(probe(site::attn_out{}, layer));
///
/// `vectors` is a tensor or a view, which is not copied, or an xtensor container or expression, which is.
template <class Metric, vector_set Vectors>
[[nodiscard]] auto similarity(const Vectors& vectors, Metric measure = {}) {
  using T = detail::element_of<Vectors>;
  static_assert(metric<Metric, T>,
                "a metric has a constant call operator (std::span<const T>, std::span<const T>), T being the scalar of "
                "the vectors, with a result that converts to double");
  if constexpr (metric<Metric, T>) {
    const detail::set_of_rows<Vectors> rows{vectors};
    if constexpr (metric_of_changed_vectors<Metric, T>) {
      const auto changed = measure.prepare(rows.view());
      return detail::matrix_of_rows<T>(changed.view(), measure);
    } else {
      if constexpr (metric_of_prepared_vectors<Metric, T>) {
        static_assert(std::is_void_v<decltype(measure.prepare(rows.view()))>,
                      "prepare(vectors) of a metric returns nothing, or a tensor of two axes whose rows its call "
                      "operator takes as std::span<const T>, T being the tensor's scalar");
        measure.prepare(rows.view());
      }
      return detail::matrix_of_rows<T>(rows.view(), measure);
    }
  } else {
    return tensor<T, 2>{};
  }
}

/// Every set of vectors against every other, under a metric of sets: (set, set), in the order of the list.
///
///     std::vector<tensor_view<const float, 2>> layers;
///     for (std::size_t layer = 0; layer < opt.layers(); ++layer) layers.push_back(probe(site::resid_post{}, layer));
///     const auto matrix = similarity<cka>(layers);  // (layer, layer)
template <class Metric, list_of_vector_sets Sets>
[[nodiscard]] auto similarity(const Sets& sets, Metric measure = {}) {
  using Set = std::remove_cvref_t<decltype(*std::begin(sets))>;
  using T = detail::element_of<Set>;
  static_assert(
      set_metric<Metric, T>,
      "a metric of sets has a constant call operator for two sets, tensor_view<const T, 2>, or for two results "
      "of its prepare(set), T being the scalar of the vectors, with a result that converts to double");
  if constexpr (set_metric<Metric, T>) {
    std::vector<detail::set_of_rows<Set>> rows;
    rows.reserve(std::size(sets));
    for (const Set& set : sets) rows.emplace_back(set);
    if constexpr (set_metric_of_all_pairs<Metric, T>) {
      std::vector<tensor_view<const T, 2>> views;
      for (const auto& set : rows) views.push_back(set.view());
      const tensor<double, 2> all = std::as_const(measure).all_pairs(std::span<const tensor_view<const T, 2>>{views});
      return detail::matrix_of_pairs<T>(rows.size(), false, [&](std::size_t i, std::size_t j) { return all(i, j); });
    } else {
      std::vector<prepared_set<Metric, T>> prepared;
      prepared.reserve(rows.size());
      for (const detail::set_of_rows<Set>& set : rows) {
        if constexpr (requires { std::as_const(measure).prepare(set.view()); }) {
          prepared.push_back(std::as_const(measure).prepare(set.view()));
        } else {
          prepared.push_back(set.view());
        }
      }
      return detail::matrix_of_pairs<T>(rows.size(), detail::is_symmetric<Metric>, [&](std::size_t i, std::size_t j) {
        return std::as_const(measure)(prepared[i], prepared[j]);
      });
    }
  } else {
    return tensor<T, 2>{};
  }
}

}  // namespace optscope
