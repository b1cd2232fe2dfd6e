// SPDX-License-Identifier: MIT
#pragma once
// Bodies of trustworthiness.hpp.

#include <algorithm>
#include <numeric>
#include <optscope/core/errors.hpp>
#include <optscope/reduction/row_products.hpp>
#include <optscope/reduction/trustworthiness.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

template <class T>
trust_level trustworthiness(tensor_view<const T, 2> points, tensor_view<const double, 2> map, std::size_t neighbours,
                            thread_pool& pool) {
  const std::size_t n = points.rows(), k = neighbours;
  if (k == 0 || 2 * k >= n) {
    throw bad_input{"", "trustworthiness of " + std::to_string(k) + " neighbours",
                    "at least " + std::to_string(2 * k + 1) + " points", std::to_string(n)};
  }
  std::vector<double> mean, penalties(n);
  const tensor<double, 2> centred = detail::centred_points(points, mean);
  detail::for_each_distances(centred, pool, [&](std::size_t i, std::span<const double> distances) {
    std::vector<std::pair<double, std::size_t>> near;
    near.reserve(n);
    for (std::size_t j = 0; j < n; ++j) {
      double square = 0;
      for (std::size_t c = 0; c < map.cols(); ++c) square += (map(i, c) - map(j, c)) * (map(i, c) - map(j, c));
      if (j != i) near.emplace_back(square, j);
    }
    std::ranges::nth_element(near, near.begin() + static_cast<std::ptrdiff_t>(k - 1));
    for (std::size_t each = 0; each < k; ++each) {
      const double distance = distances[near[each].second];
      std::size_t rank = 1;
      for (std::size_t j = 0; j < n; ++j) rank += j != i && distances[j] < distance ? 1 : 0;
      if (rank > k) penalties[i] += static_cast<double>(rank - k);
    }
  });
  const auto count = static_cast<double>(n), of = static_cast<double>(k);
  const double norm = 2 / (count * of * (2 * count - 3 * of - 1));
  return {.value = 1 - norm * std::accumulate(penalties.begin(), penalties.end(), 0.0),
          .by_chance = 1 - norm * count * of * (count - 1 - of) * (count - of) / (2 * (count - 1)),
          .neighbours = k};
}

#ifdef OPTSCOPE_COMPILED
template trust_level trustworthiness(tensor_view<const float, 2>, tensor_view<const double, 2>, std::size_t,
                                     thread_pool&);
template trust_level trustworthiness(tensor_view<const double, 2>, tensor_view<const double, 2>, std::size_t,
                                     thread_pool&);
#endif

}  // namespace optscope
