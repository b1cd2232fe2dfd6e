// SPDX-License-Identifier: MIT
#pragma once
// Bodies of points.hpp.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optscope/core/errors.hpp>
#include <optscope/similarity/cka.hpp>
#include <optscope/similarity/points.hpp>
#include <random>
#include <utility>

namespace optscope {
namespace detail {

/// 0 to n - 1, shuffled.
inline std::vector<std::size_t> shuffled_points(std::size_t n, std::mt19937_64& random) {
  std::vector<std::size_t> order(n);
  std::iota(order.begin(), order.end(), std::size_t{0});
  for (std::size_t i = n; i > 1; --i) std::swap(order[i - 1], order[random() % i]);
  return order;
}

/// Points with their texts in orders of which no two have a text at the same place.
inline std::vector<tensor<float, 2>> with_exchanged_texts(const std::vector<activation_point>& points,
                                                          const std::vector<std::size_t>& text_of, std::uint64_t seed) {
  constexpr std::size_t most = 12;
  const std::size_t texts = text_of.empty() ? 0 : 1 + text_of.back();
  std::mt19937_64 random{seed};
  const std::vector<std::size_t> chosen = shuffled_points(points.size(), random),
                                 order = shuffled_points(texts, random);
  std::vector<tensor<float, 2>> result;
  if (texts < 2 || points.empty()) return result;
  for (std::size_t shift = 0; shift < std::min(most, texts); ++shift) {
    const tensor_view<const float, 2> vectors = points[chosen[shift % chosen.size()]].vectors;
    tensor<float, 2>& moved = result.emplace_back(vectors.shape());
    std::size_t row = 0;
    for (std::size_t t = 0; t < texts; ++t) {
      const std::size_t text = order[(t + shift) % texts];
      const auto [first, last] = std::equal_range(text_of.begin(), text_of.end(), text);
      for (auto i = first - text_of.begin(); i < last - text_of.begin(); ++i) {
        std::ranges::copy(vectors.row(static_cast<std::size_t>(i)), moved.row(row++).begin());
      }
    }
  }
  return result;
}

inline std::string short_measure(double value) {
  char buffer[40];
  return std::snprintf(buffer, sizeof buffer, "%.3g", value) > 0 ? std::string{buffer} : std::string{};
}

}  // namespace detail

OPTSCOPE_INLINE std::vector<point_similarities> compare_points(
    const std::vector<activation_point>& points, const std::vector<std::size_t>& text_of,
    const std::vector<named_set_metric>& metrics, std::uint64_t seed,
    const std::function<void(std::size_t done, std::size_t total)>& progress) {
  std::vector<tensor_view<const float, 2>> sets;
  for (const activation_point& each : points) {
    if (each.vectors.rows() != text_of.size()) {
      throw bad_input{"", each.name, std::to_string(text_of.size()) + " vectors, as the others have",
                      std::to_string(each.vectors.rows())};
    }
    for (std::size_t i = 0; i < each.vectors.rows(); ++i) {
      const auto row = each.vectors.row(i);
      if (std::ranges::all_of(row, [](float value) { return std::isfinite(value); })) continue;
      throw bad_input{"", each.name + ", vector " + std::to_string(i), "finite numbers", "NaN or infinity"};
    }
    sets.push_back(each.vectors);
  }
  const std::vector<tensor<float, 2>> moved = detail::with_exchanged_texts(points, text_of, seed);
  const std::vector<tensor_view<const float, 2>> by_chance{moved.begin(), moved.end()};
  std::vector<point_similarities> result;
  for (std::size_t m = 0; m < metrics.size(); ++m) {
    if (progress) progress(m, metrics.size());
    point_similarities& found = result.emplace_back();
    found.metric = metrics[m].name;
    found.distance = metrics[m].distance;
    found.values = metrics[m].measure(sets);
    const double sign = found.distance ? -1 : 1;
    std::vector<double> chance;  // larger is more alike
    const tensor<float, 2> values = metrics[m].measure(by_chance);
    for (std::size_t i = 0; i < by_chance.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) chance.push_back(sign * static_cast<double>(values(i, j)));
    }
    if (chance.empty()) continue;
    std::ranges::sort(chance);
    const auto quantile = [&](double share) {
      const auto at = static_cast<std::size_t>(std::ceil(share * static_cast<double>(chance.size())));
      return sign * chance[std::max<std::size_t>(at, 1) - 1];
    };
    found.exchanged = chance.size();
    found.typical = quantile(0.5);
    found.level = quantile(0.95);
    for (std::size_t i = 0; i < points.size(); ++i) {
      for (std::size_t j = 0; j < i; ++j) {
        found.above += sign * static_cast<double>(found.values(i, j)) > sign * found.level ? 1 : 0;
      }
    }
  }
  if (progress) progress(metrics.size(), metrics.size());
  return result;
}

OPTSCOPE_INLINE std::string finding_of(const point_similarities& found, const std::vector<activation_point>& points) {
  if (points.size() < 2) return "There is one point only.";
  const double sign = found.distance ? -1 : 1;
  std::size_t most[2] = {1, 0}, least[2] = {1, 0};
  for (std::size_t i = 0; i < points.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const double value = sign * static_cast<double>(found.values(i, j));
      if (value > sign * static_cast<double>(found.values(most[0], most[1]))) most[0] = i, most[1] = j;
      if (value < sign * static_cast<double>(found.values(least[0], least[1]))) least[0] = i, least[1] = j;
    }
  }
  const auto pair = [&](const std::size_t(&at)[2]) {
    return points[at[1]].name + " and " + points[at[0]].name + " (" +
           detail::short_measure(static_cast<double>(found.values(at[0], at[1]))) + ")";
  };
  const std::string text = "Most alike: " + pair(most) + ". Least alike: " + pair(least) + ". ";
  if (found.exchanged == 0) return text + "With one text there is no level of chance.";
  const std::size_t pairs = points.size() * (points.size() - 1) / 2;
  return text + std::to_string(found.above) + " of " + std::to_string(pairs) + " pairs of points are more alike than " +
         "what chance gives, " + detail::short_measure(found.level) + ": 95 % of " + std::to_string(found.exchanged) +
         " pairs whose texts were exchanged are less alike. The median of those is " +
         detail::short_measure(found.typical) + ".";
}

OPTSCOPE_INLINE std::vector<std::string> limits_of(const std::vector<activation_point>& points,
                                                   const std::vector<std::size_t>& text_of) {
  std::vector<std::string> limits;
  const std::size_t vectors = text_of.size(), texts = text_of.empty() ? 0 : 1 + text_of.back();
  if (vectors < cka_debiased::fewest) {
    limits.push_back("cka_debiased needs four vectors of each point; here there are " + std::to_string(vectors) +
                     ", and it is 0.");
  }
  std::size_t width = 0;
  std::string flat;
  for (const activation_point& each : points) {
    width = std::max(width, each.vectors.cols());
    bool varies = false;
    for (std::size_t i = 1; i < each.vectors.rows() && !varies; ++i) {
      varies = !std::ranges::equal(each.vectors.row(i), each.vectors.row(0));
    }
    if (!varies) flat += (flat.empty() ? "" : ", ") + each.name;
  }
  if (vectors <= width) {
    limits.push_back(std::to_string(vectors) + " vectors of up to " + std::to_string(width) +
                     " dimensions: of so few, cka, procrustes, svcca and subspace_angles find any points alike; "
                     "cka_debiased does not. More positions or texts help.");
  }
  if (!flat.empty()) {
    limits.push_back("All vectors are equal in " + flat +
                     ": nothing can be measured there; similarities are 0, angles pi / 2.");
  }
  if (texts > 1 && texts < 8) {
    limits.push_back("With " + std::to_string(texts) + " texts the level of chance is of few exchanges, and rough.");
  }
  return limits;
}

}  // namespace optscope
