// SPDX-License-Identifier: MIT
#pragma once
// Bodies of phate.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/errors.hpp>
#include <optscope/reduction/diffusion.hpp>
#include <optscope/reduction/pca.hpp>
#include <optscope/reduction/phate.hpp>
#include <optscope/reduction/row_products.hpp>
#include <string>
#include <utility>

namespace optscope {
namespace detail {

inline void check_phate_settings(const phate_settings& settings, std::size_t points) {
  const auto positive = [](const char* name, bool is) {
    if (!is) throw bad_input{"", name, "a number above 0", "0 or less"};
  };
  positive("dimensions", settings.dimensions > 0);
  positive("neighbours", settings.neighbours > 0);
  positive("decay", settings.decay > 0);
  positive("landmarks", settings.landmarks > 0);
  if (points < settings.neighbours + 2) {
    throw bad_input{"", "PHATE with " + std::to_string(settings.neighbours) + " neighbours",
                    "at least " + std::to_string(settings.neighbours + 2) + " points", std::to_string(points)};
  }
}
}  // namespace detail

template <class T>
phate_map phate(tensor_view<const T, 2> points, const phate_settings& settings, thread_pool& pool) {
  detail::check_phate_settings(settings, points.rows());
  const std::size_t n = points.rows();
  phate_map result;
  diffusion walk;
  {
    std::vector<double> mean;
    const bool reduce = settings.components > 0 && settings.components < std::min(n, points.cols());
    const tensor<double, 2> values =
        reduce ? pca(points, settings.components).coordinates : detail::centred_points(points, mean);
    if (std::all_of(values.data(), values.data() + values.size(), [](double value) { return value == 0; })) {
      result.points = tensor<double, 2>{{n, settings.dimensions}};
      result.flat = result.converged = true;
      return result;
    }
    const neighbour_graph graph = alpha_decay_graph(values, settings.neighbours, settings.decay, pool);
    result.parts = graph.parts();
    walk = n > settings.landmarks ? landmark_diffusion(graph, settings.landmarks, settings.seed, pool)
                                  : diffusion_of(graph);
  }
  const bool landmarks = walk.to_landmarks.points() > 0;
  result.landmarks = landmarks ? walk.step.rows() : 0;
  result.entropy = entropy_of_steps(walk.eigenvalues());
  result.time = settings.time > 0 ? settings.time : 1 + knee_of(result.entropy);
  const tensor<double, 2> distances = potential_distances(probabilities_after(std::move(walk.step), result.time), pool);
  const scaled_points scaled =
      metric_scaling(distances, classical_scaling(distances, settings.dimensions), settings.scaling, pool);
  result.stress = stress_of(distances, scaled.points);
  result.iterations = scaled.iterations;
  result.converged = scaled.converged;
  result.points = on_principal_axes(landmarks ? walk.at_points(scaled.points) : scaled.points);
  return result;
}

OPTSCOPE_INLINE std::size_t phate_memory(std::size_t points, std::size_t width, const phate_settings& settings) {
  const std::size_t states = std::min(points, settings.landmarks),
                    kept = settings.components > 0 ? std::min(width, settings.components) : width;
  const std::size_t graph = points * (width + kept + 256),
                    clusters = points > settings.landmarks ? points * 512 + states * 256 : std::size_t{0};
  return sizeof(double) * std::max({graph, clusters, 4 * states * states});
}

#ifdef OPTSCOPE_COMPILED
template phate_map phate(tensor_view<const float, 2>, const phate_settings&, thread_pool&);
template phate_map phate(tensor_view<const double, 2>, const phate_settings&, thread_pool&);
#endif

}  // namespace optscope
