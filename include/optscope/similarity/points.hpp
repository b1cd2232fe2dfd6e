// SPDX-License-Identifier: MIT
#pragma once
// Points of a model (a layer and site, a head) against each other, over the same texts and positions, with what
// exchanging the texts gives.

#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/similarity/named_metrics.hpp>
#include <string>
#include <vector>

namespace optscope {

/// What is compared: the vectors of one place in a model.
struct activation_point {
  std::string name{};                     ///< `resid_post.3`, `z.3.5`
  tensor_view<const float, 2> vectors{};  ///< (vector, width): text by text; row i of every point is of the same token
};

/// All points under one metric of sets.
struct point_similarities {
  std::string metric{};
  bool distance = false;      ///< small is alike
  tensor<float, 2> values{};  ///< (point, point)
  std::size_t exchanged = 0;  ///< pairs of points that were compared with exchanged texts; 0 with one text
  double typical = std::numeric_limits<double>::quiet_NaN();  ///< median of those pairs: what there is by chance
  double level = std::numeric_limits<double>::quiet_NaN();    ///< 95 % of them are less alike than this
  std::size_t above = 0;  ///< pairs of different points that are more alike than `level`
};

/// Compares points under each of the metrics. `text_of` [vector]: ascending.
///
/// The level of chance: up to 12 points, drawn with `seed`, get their texts in a different order each, and are compared
/// with each other. Text i of one then stands beside text j of the other, j not being i, vector by vector, so that only
/// what any two texts have in common is left; where texts are of one length, that includes the position. Below three
/// texts there are only one or two such orders.
///
/// Throws `bad_input` if two points have different numbers of vectors, naming both, or if elements are not finite.
[[nodiscard]] std::vector<point_similarities> compare_points(
    const std::vector<activation_point>& points, const std::vector<std::size_t>& text_of,
    const std::vector<named_set_metric>& metrics, std::uint64_t seed = 1,
    const std::function<void(std::size_t done, std::size_t total)>& progress = {});

/// What is found under a metric, in sentences: the most and the least alike points, and how many pairs exceed chance.
[[nodiscard]] std::string finding_of(const point_similarities& found, const std::vector<activation_point>& points);

/// What these points keep the metrics from telling, a sentence each: too few vectors, points that do not vary.
[[nodiscard]] std::vector<std::string> limits_of(const std::vector<activation_point>& points,
                                                 const std::vector<std::size_t>& text_of);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/points.ipp>
#endif
