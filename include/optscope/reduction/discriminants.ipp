// SPDX-License-Identifier: MIT
#pragma once
// Bodies of discriminants.hpp.

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <optscope/reduction/discriminants.hpp>
#include <optscope/reduction/pca.hpp>
#include <random>
#include <utility>

namespace optscope {

OPTSCOPE_INLINE tensor<double, 2> coordinates_along(const fitted_axes& of, tensor_view<const float, 2> points) {
  tensor<double, 2> result{{points.rows(), of.axes.rows()}};
  for (std::size_t i = 0; i < points.rows(); ++i) {
    const auto point = points.row(i);
    for (std::size_t k = 0; k < of.axes.rows(); ++k) {
      const auto axis = of.axes.row(k);
      for (std::size_t j = 0; j < point.size(); ++j) {
        result(i, k) += axis[j] * (static_cast<double>(point[j]) - of.origin[j]);
      }
    }
  }
  return result;
}

OPTSCOPE_INLINE fitted_axes principal_axes(tensor_view<const float, 2> points, std::size_t count) {
  principal_components found = pca(points, count);
  return {.axes = std::move(found.axes), .origin = std::move(found.mean)};
}

OPTSCOPE_INLINE fitted_axes whitening_axes(tensor_view<const float, 2> points, std::size_t count, double shrinkage) {
  count = std::min({count, points.cols(), points.rows() > 0 ? points.rows() - 1 : 0});
  principal_components found = pca(points, count);
  const double mean = std::accumulate(found.variances.begin(), found.variances.end(), 0.0) /
                      static_cast<double>(std::max<std::size_t>(count, 1));
  for (std::size_t k = 0; k < count && mean > 0; ++k) {
    const double deviation = std::sqrt((1 - shrinkage) * found.variances[k] + shrinkage * mean);
    for (double& each : found.axes.row(k)) each /= deviation;
  }
  return {.axes = std::move(found.axes), .origin = std::move(found.mean)};
}

OPTSCOPE_INLINE fitted_axes linear_discriminants(tensor_view<const float, 2> points,
                                                 const std::vector<std::size_t>& category, std::size_t count,
                                                 double shrinkage) {
  const fitted_axes white = whitening_axes(points, count, shrinkage);
  const tensor<double, 2> where = coordinates_along(white, points);  // (point, axis), of mean 0
  const std::size_t groups = category.empty() ? 0 : 1 + *std::ranges::max_element(category);
  tensor<double, 2> means{{groups, where.extent(1)}};  // weighted by the roots of the sizes
  std::vector<double> size(groups);
  for (std::size_t i = 0; i < category.size(); ++i) {
    size[category[i]] += 1;
    for (std::size_t k = 0; k < where.extent(1); ++k) means(category[i], k) += where(i, k);
  }
  double used = 0;
  tensor<double, 2> both{{2 * groups, where.extent(1)}};  // and mirrored, so that their mean is 0
  for (std::size_t c = 0; c < groups; ++c) {
    used += size[c] > 0;
    for (std::size_t k = 0; k < where.extent(1) && size[c] > 0; ++k) {
      both(2 * c, k) = means(c, k) / std::sqrt(size[c]);
      both(2 * c + 1, k) = -both(2 * c, k);
    }
  }
  const auto wanted = std::min(static_cast<std::size_t>(std::max(used - 1, 0.0)), where.extent(1));
  const principal_components apart = pca(both, wanted);
  fitted_axes result{.axes = tensor<double, 2>{{wanted, points.cols()}}, .origin = white.origin};
  for (std::size_t d = 0; d < wanted; ++d) {
    for (std::size_t k = 0; k < where.extent(1); ++k) {
      for (std::size_t j = 0; j < points.cols(); ++j) result.axes(d, j) += apart.axes(d, k) * white.axes(k, j);
    }
  }
  return result;
}

OPTSCOPE_INLINE std::vector<std::size_t> halves_of_texts(const std::vector<std::size_t>& category) {
  std::vector<std::size_t> seen(category.empty() ? 0 : 1 + *std::ranges::max_element(category)), half;
  for (const std::size_t c : category) half.push_back(seen[c]++ % 2);
  return half;
}

namespace detail {

/// Texts that are nearest to their own category's mean over the other half.
inline std::size_t texts_that_are_right(const std::array<tensor<double, 2>, 2>& along,
                                        const std::vector<std::size_t>& category, const std::vector<std::size_t>& half,
                                        std::size_t groups) {
  std::size_t right = 0;
  for (std::size_t fitted = 0; fitted < 2; ++fitted) {
    const tensor<double, 2>& where = along[fitted];  // (text, axis)
    const std::size_t width = where.extent(1);
    std::vector<double> means(groups * width), size(groups);
    for (std::size_t t = 0; t < category.size(); ++t) {
      if (half[t] != fitted) continue;
      size[category[t]] += 1;
      for (std::size_t k = 0; k < width; ++k) means[category[t] * width + k] += where(t, k);
    }
    for (std::size_t t = 0; t < category.size(); ++t) {
      if (half[t] == fitted) continue;
      double nearest = std::numeric_limits<double>::infinity();
      std::size_t found = groups;
      for (std::size_t c = 0; c < groups; ++c) {
        if (size[c] == 0) continue;
        double distance = 0;
        for (std::size_t k = 0; k < width; ++k) {
          const double apart = where(t, k) - means[c * width + k] / size[c];
          distance += apart * apart;
        }
        if (distance == nearest) found = groups;  // near to two: to none
        if (distance < nearest) {
          nearest = distance;
          found = c;
        }
      }
      right += found == category[t];
    }
  }
  return right;
}

/// The smallest share of the exchanges of labels within halves that any result can have: categories with as many texts
/// in both halves can exchange their names.
inline double smallest_share(const std::vector<std::size_t>& category, const std::vector<std::size_t>& half,
                             std::size_t groups) {
  std::vector<std::array<double, 2>> size(groups);
  for (std::size_t t = 0; t < category.size(); ++t) size[category[t]][half[t]] += 1;
  std::map<std::array<double, 2>, double> alike;
  double logarithm = 0;  // of names' exchanges over labellings
  for (const auto& each : size) {
    if (each[0] + each[1] > 0) logarithm += std::log(++alike[each]);
    for (const double n : each) logarithm += std::lgamma(n + 1);
  }
  for (std::size_t h = 0; h < 2; ++h) {
    logarithm -= std::lgamma(static_cast<double>(std::ranges::count(half, h)) + 1);
  }
  return std::min(1.0, std::exp(logarithm));
}

}  // namespace detail

OPTSCOPE_INLINE separations cross_validate(const std::vector<std::array<tensor<double, 2>, 2>>& layers,
                                           const std::vector<std::size_t>& category, std::size_t most,
                                           std::uint64_t seed) {
  separations result{.layers = std::vector<separation>(layers.size()), .texts = category.size()};
  const std::size_t groups = category.empty() ? 0 : 1 + *std::ranges::max_element(category);
  const std::vector<std::size_t> half = halves_of_texts(category);
  std::vector<std::size_t> size(groups);
  for (const std::size_t c : category) ++size[c];
  const auto used = std::ranges::count_if(size, [](std::size_t n) { return n > 0; });
  if (layers.empty() || used < 2 || std::ranges::any_of(size, [](std::size_t n) { return n == 1; })) return result;

  std::mt19937_64 random{seed};
  std::vector<std::size_t> labels = category, members[2];
  for (std::size_t t = 0; t < category.size(); ++t) members[half[t]].push_back(t);
  std::vector<std::size_t> largest;  // [labelling]
  double sum = 0;
  for (std::size_t draw = 0; draw < most; ++draw) {
    for (std::size_t h = 0; h < 2 && draw > 0; ++h) {
      for (std::size_t i = members[h].size(); i > 1; --i) {
        std::swap(labels[members[h][i - 1]], labels[members[h][random() % i]]);
      }
    }
    largest.push_back(0);
    for (std::size_t layer = 0; layer < layers.size(); ++layer) {
      const std::size_t right = detail::texts_that_are_right(layers[layer], labels, half, groups);
      if (draw == 0) result.layers[layer].right = right;
      largest.back() = std::max(largest.back(), right);
      sum += static_cast<double>(right);
    }
  }
  result.labelings = most;
  result.by_chance = sum / static_cast<double>(most * layers.size());
  result.smallest_p = std::max(detail::smallest_share(category, half, groups), 1 / static_cast<double>(most));
  for (separation& each : result.layers) {
    const auto reached = std::ranges::count_if(largest, [&](std::size_t right) { return right >= each.right; });
    each.p_over_all = static_cast<double>(reached) / static_cast<double>(most);
  }
  std::ranges::sort(largest);
  result.level = largest[static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(most))) - 1];
  return result;
}

}  // namespace optscope
