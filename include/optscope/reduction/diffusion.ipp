// SPDX-License-Identifier: MIT
#pragma once
// Bodies of diffusion.hpp.

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>
#include <optscope/core/errors.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/reduction/diffusion.hpp>
#include <optscope/reduction/row_products.hpp>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <xtensor-blas/xlinalg.hpp>

namespace optscope {
namespace detail {

using graph_row = std::vector<std::pair<std::size_t, double>>;  // column, weight; ascending

inline neighbour_graph graph_of_rows(const std::vector<graph_row>& rows) {
  neighbour_graph result{.first = {0}};
  for (const graph_row& row : rows) {
    for (const auto& [column, weight] : row) {
      result.column.push_back(column);
      result.weight.push_back(weight);
    }
    result.first.push_back(result.column.size());
  }
  return result;
}

/// (K + Kᵀ) / 2.
inline neighbour_graph symmetric_graph(const std::vector<graph_row>& rows) {
  std::vector<graph_row> both(rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const auto& [j, weight] : rows[i]) {
      both[i].emplace_back(j, weight / 2);
      both[j].emplace_back(i, weight / 2);
    }
  }
  for (graph_row& row : both) {
    std::ranges::sort(row);
    std::size_t kept = 0;
    for (std::size_t k = 0; k < row.size(); ++k) {
      if (kept > 0 && row[kept - 1].first == row[k].first) {
        row[kept - 1].second += row[k].second;
      } else {
        row[kept++] = row[k];
      }
    }
    row.resize(kept);
  }
  return graph_of_rows(both);
}

/// y (row, any) = the graph's matrix times x, or, with `scale` [point], diag(scale) K diag(scale) x.
inline void multiply_graph(const neighbour_graph& graph, const std::vector<double>& scale,
                           tensor_view<const double, 2> x, tensor_view<double, 2> y, thread_pool& pool) {
  pool.parallel_for(graph.points(), [&](std::size_t i, std::size_t) {
    const auto row = y.row(i);
    std::ranges::fill(row, 0.0);
    for (std::size_t k = graph.first[i]; k < graph.first[i + 1]; ++k) {
      const std::size_t j = graph.column[k];
      const double weight = graph.weight[k] * (scale.empty() ? 1 : scale[i] * scale[j]);
      const double* from = x.row(j).data();
      for (std::size_t c = 0; c < row.size(); ++c) row[c] += weight * from[c];
    }
  });
}

/// [point]: index of the nearest centre; ties go to the first. `moved`: how many differ from before.
inline std::size_t assign_to_centres(tensor_view<const double, 2> points, const std::vector<double>& lengths,
                                     tensor_view<const double, 2> centres, std::vector<std::size_t>& cluster,
                                     thread_pool& pool) {
  constexpr std::size_t most = 256;
  const std::vector<double> centre_lengths = squared_lengths(centres);
  const std::vector<std::size_t> before = cluster;
  tensor<double, 2> block{{most, centres.rows()}};
  for (std::size_t first = 0; first < points.rows(); first += most) {
    const std::size_t count = std::min(most, points.rows() - first);
    const tensor_view<double, 2> out{block.data(), {count, centres.rows()}};
    squared_distances({points.row(first).data(), {count, points.cols()}, points.stride()},
                      {lengths.begin() + static_cast<std::ptrdiff_t>(first),
                       lengths.begin() + static_cast<std::ptrdiff_t>(first + count)},
                      centres, centre_lengths, out, pool);
    for (std::size_t i = 0; i < count; ++i) {
      const auto row = out.row(i);
      cluster[first + i] = static_cast<std::size_t>(std::ranges::min_element(row) - row.begin());
    }
  }
  std::size_t moved = 0;
  for (std::size_t i = 0; i < cluster.size(); ++i) moved += cluster[i] != before[i] ? 1 : 0;
  return moved;
}

/// [point]: its cluster, by k-means (Lloyd 1982) from k-means++ (Arthur and Vassilvitskii 2007). Clusters are numbered
/// without gaps; there are fewer than `count` where fewer points differ.
inline std::vector<std::size_t> clusters_of(tensor_view<const double, 2> points, std::size_t count, std::uint64_t seed,
                                            thread_pool& pool) {
  constexpr std::size_t most_rounds = 30, rows = 512;
  const std::size_t n = points.rows(), width = points.cols();
  std::mt19937_64 random{seed};
  tensor<double, 2> centres{{count, width}};
  std::vector<double> nearest(n, std::numeric_limits<double>::infinity());
  std::size_t next = random() % n, found = 0;
  for (; found < count; ++found) {
    std::ranges::copy(points.row(next), centres.row(found).begin());
    const double* centre = centres.row(found).data();
    pool.parallel_for((n + rows - 1) / rows, [&](std::size_t part, std::size_t) {
      for (std::size_t i = part * rows; i < std::min(n, (part + 1) * rows); ++i) {
        const double* x = points.row(i).data();
        double sums[4] = {};
        std::size_t k = 0;
        for (; k + 4 <= width; k += 4) {
          for (std::size_t lane = 0; lane < 4; ++lane) {
            sums[lane] += (x[k + lane] - centre[k + lane]) * (x[k + lane] - centre[k + lane]);
          }
        }
        for (; k < width; ++k) sums[0] += (x[k] - centre[k]) * (x[k] - centre[k]);
        nearest[i] = std::min(nearest[i], (sums[0] + sums[1]) + (sums[2] + sums[3]));
      }
    });
    const double total = std::accumulate(nearest.begin(), nearest.end(), 0.0);
    if (total <= 0) break;  // every point is a centre
    double left = total * (static_cast<double>(random() >> 11) * 0x1p-53);
    for (next = 0; next + 1 < n && (left -= nearest[next]) >= 0;) ++next;
    while (nearest[next] == 0 && next > 0) --next;
  }
  found = std::min(found + (found < count ? 1 : 0), count);
  const std::vector<double> lengths = squared_lengths(points);
  std::vector<std::size_t> cluster(n, count), sizes;
  for (std::size_t round = 0; round < most_rounds; ++round) {
    const tensor_view<const double, 2> known{centres.data(), {found, width}};
    if (assign_to_centres(points, lengths, known, cluster, pool) == 0) break;
    sizes.assign(found, 0);
    for (const std::size_t each : cluster) ++sizes[each];
    for (std::size_t c = 0; c < found; ++c) {
      if (sizes[c] > 0) std::ranges::fill(centres.row(c), 0.0);  // one that lost its points stays where it is
    }
    for (std::size_t i = 0; i < n; ++i) {
      const auto centre = centres.row(cluster[i]);
      for (std::size_t k = 0; k < width; ++k) centre[k] += points(i, k) / static_cast<double>(sizes[cluster[i]]);
    }
  }
  std::vector<std::size_t> number(found, count);
  std::size_t used = 0;
  for (std::size_t& each : cluster) {
    if (number[each] == count) number[each] = used++;
    each = number[each];
  }
  return cluster;
}

}  // namespace detail

OPTSCOPE_INLINE std::size_t neighbour_graph::parts() const {
  std::vector<bool> seen(points());
  std::vector<std::size_t> open;
  std::size_t count = 0;
  for (std::size_t start = 0; start < points(); ++start) {
    if (seen[start]) continue;
    ++count;
    seen[start] = true;
    open.push_back(start);
    while (!open.empty()) {
      const std::size_t i = open.back();
      open.pop_back();
      for (std::size_t k = first[i]; k < first[i + 1]; ++k) {
        if (seen[column[k]]) continue;
        seen[column[k]] = true;
        open.push_back(column[k]);
      }
    }
  }
  return count;
}

OPTSCOPE_INLINE std::vector<double> neighbour_graph::degrees() const {
  std::vector<double> result(points());
  for (std::size_t i = 0; i < points(); ++i) {
    result[i] = std::accumulate(weight.begin() + static_cast<std::ptrdiff_t>(first[i]),
                                weight.begin() + static_cast<std::ptrdiff_t>(first[i + 1]), 0.0);
  }
  return result;
}

OPTSCOPE_INLINE neighbour_graph alpha_decay_graph(tensor_view<const double, 2> points, std::size_t neighbours,
                                                  double decay, thread_pool& pool) {
  constexpr double smallest = 1e-4;
  const std::size_t n = points.rows();
  if (n < neighbours + 2) {
    throw bad_input{"", "a graph of " + std::to_string(neighbours) + " neighbours",
                    "at least " + std::to_string(neighbours + 2) + " points", std::to_string(n)};
  }
  std::vector<detail::graph_row> rows(n);
  const double reach = std::pow(-std::log(smallest), 1 / decay);
  detail::for_each_distances(points, pool, [&](std::size_t i, std::span<const double> squares) {
    std::vector<double> sorted(squares.begin(), squares.end());  // with the point itself, at 0
    const auto nth = sorted.begin() + static_cast<std::ptrdiff_t>(neighbours);
    std::nth_element(sorted.begin(), nth, sorted.end());
    const double radius = std::sqrt(*nth), most = radius * reach;
    for (std::size_t j = 0; j < n; ++j) {
      if (squares[j] > most * most && j != i) continue;
      const double weight = squares[j] == 0 ? 1 : std::exp(-std::pow(std::sqrt(squares[j]) / radius, decay));
      if (weight >= smallest) rows[i].emplace_back(j, weight);
    }
  });
  return detail::symmetric_graph(rows);
}

OPTSCOPE_INLINE std::vector<double> diffusion::eigenvalues() const {
  const std::size_t n = step.rows();
  tensor<double, 2> symmetric{{n, n}};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) symmetric(i, j) = step(i, j) * std::sqrt(weights[i] / weights[j]);
  }
  const auto values = xt::linalg::eigvalsh(adapt(symmetric));
  std::vector<double> result;
  for (const double each : values) result.push_back(std::abs(each));
  std::ranges::sort(result, std::greater<>{});
  return result;
}

OPTSCOPE_INLINE tensor<double, 2> diffusion::at_points(tensor_view<const double, 2> of_states) const {
  tensor<double, 2> result{{to_landmarks.points(), of_states.cols()}};
  thread_pool pool{1};
  detail::multiply_graph(to_landmarks, {}, of_states, result.view(), pool);
  return result;
}

OPTSCOPE_INLINE diffusion diffusion_of(const neighbour_graph& graph) {
  const std::size_t n = graph.points();
  diffusion result{.step = tensor<double, 2>{{n, n}}, .weights = graph.degrees()};
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t k = graph.first[i]; k < graph.first[i + 1]; ++k) {
      result.step(i, graph.column[k]) = graph.weight[k] / result.weights[i];
    }
  }
  return result;
}

OPTSCOPE_INLINE diffusion landmark_diffusion(const neighbour_graph& graph, std::size_t count, std::uint64_t seed,
                                             thread_pool& pool) {
  constexpr std::size_t eigenvectors = 100;
  const std::size_t n = graph.points();
  const std::vector<double> degrees = graph.degrees();
  std::vector<double> scale(n), inverse(n);
  for (std::size_t i = 0; i < n; ++i) {
    inverse[i] = 1 / degrees[i];
    scale[i] = std::sqrt(inverse[i]);
  }
  std::vector<std::size_t> cluster;
  {
    const detail::large_eigenvectors found = detail::eigenvectors_by_iteration(
        n, std::min(eigenvectors, count),
        [&](tensor_view<const double, 2> x, tensor_view<double, 2> y) {
          detail::multiply_graph(graph, scale, x, y, pool);
        },
        1e-3, 20, seed);
    tensor<double, 2> spread{found.columns.shape()};
    detail::multiply_graph(graph, {}, found.columns, spread.view(), pool);
    for (std::size_t i = 0; i < n; ++i) std::ranges::for_each(spread.row(i), [&](double& each) { each *= inverse[i]; });
    cluster = detail::clusters_of(spread, count, seed, pool);
  }
  const std::size_t landmarks = 1 + *std::ranges::max_element(cluster);
  // Sums of the kernel over each cluster: its row sums are the degrees of the points, its column sums of the landmarks.
  std::vector<detail::graph_row> rows(n);
  diffusion result{.step = tensor<double, 2>{{landmarks, landmarks}}, .weights = std::vector<double>(landmarks)};
  std::vector<double> sums(landmarks);
  std::vector<std::size_t> touched;
  for (std::size_t i = 0; i < n; ++i) {
    touched.clear();
    for (std::size_t k = graph.first[i]; k < graph.first[i + 1]; ++k) {
      const std::size_t c = cluster[graph.column[k]];
      if (sums[c] == 0) touched.push_back(c);
      sums[c] += graph.weight[k];
    }
    std::ranges::sort(touched);
    for (const std::size_t c : touched) {
      rows[i].emplace_back(c, sums[c] * inverse[i]);
      result.weights[c] += std::exchange(sums[c], 0);
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (const auto& [from, share] : rows[i]) {
      for (const auto& [to, probability] : rows[i]) {
        result.step(from, to) += share * degrees[i] / result.weights[from] * probability;
      }
    }
  }
  result.to_landmarks = detail::graph_of_rows(rows);
  return result;
}

OPTSCOPE_INLINE tensor<double, 2> probabilities_after(tensor<double, 2> step, std::size_t steps) {
  tensor<double, 2> result{step.shape()}, next{step.shape()};
  bool begun = false;
  for (;;) {
    if (steps % 2 == 1) {
      if (begun) {
        detail::multiply_rows(result, false, step, false, next.view());
        std::swap(result, next);
      } else {
        std::copy_n(step.data(), step.size(), result.data());
        begun = true;
      }
    }
    steps /= 2;
    if (steps == 0) return result;
    detail::multiply_rows(step, false, step, false, next.view());
    std::swap(step, next);
  }
}

OPTSCOPE_INLINE tensor<double, 2> potential_distances(tensor<double, 2> probabilities, thread_pool& pool) {
  for (std::size_t k = 0; k < probabilities.size(); ++k) {
    probabilities.data()[k] = -std::log(probabilities.data()[k] + 1e-7);
  }
  std::vector<double> mean;
  const tensor<double, 2> potential = detail::centred_points(std::as_const(probabilities).view(), mean);
  tensor<double, 2> result{{potential.rows(), potential.rows()}};
  detail::for_each_distances(potential, pool, [&](std::size_t i, std::span<const double> squares) {
    for (std::size_t j = 0; j < squares.size(); ++j) result(i, j) = std::sqrt(std::max(squares[j], 0.0));
  });
  for (std::size_t i = 0; i < result.rows(); ++i) {  // the same in both directions, to the last bit
    for (std::size_t j = 0; j < i; ++j) result(j, i) = result(i, j);
  }
  return result;
}

OPTSCOPE_INLINE std::vector<double> entropy_of_steps(const std::vector<double>& eigenvalues, std::size_t most) {
  std::vector<double> result, powers(eigenvalues.size(), 1);
  for (std::size_t step = 0; step < most; ++step) {
    double sum = 0, entropy = 0;
    for (std::size_t k = 0; k < powers.size(); ++k) sum += powers[k] *= eigenvalues[k];
    for (const double each : powers) {
      const double share = each / sum;
      entropy -= share > 0 ? share * std::log(share) : 0;
    }
    result.push_back(entropy);
  }
  return result;
}

OPTSCOPE_INLINE std::size_t knee_of(const std::vector<double>& values) {
  const std::size_t n = values.size();
  if (n < 3) return 0;
  // What the line of least squares through the values [first, last] leaves of them.
  const auto left = [&](std::size_t first, std::size_t last) {
    const auto count = static_cast<double>(last - first + 1);
    double x_mean = 0, y_mean = 0, xx = 0, xy = 0, sum = 0;
    for (std::size_t i = first; i <= last; ++i) {
      x_mean += static_cast<double>(i) / count;
      y_mean += values[i] / count;
    }
    for (std::size_t i = first; i <= last; ++i) {
      const double x = static_cast<double>(i) - x_mean;
      xx += x * x;
      xy += x * (values[i] - y_mean);
    }
    for (std::size_t i = first; i <= last; ++i) {
      sum += std::abs(values[i] - y_mean - xy / xx * (static_cast<double>(i) - x_mean));
    }
    return sum;
  };
  std::size_t best = 1;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t i = 1; i + 1 < n; ++i) {
    const double sum = left(0, i) + left(i, n - 1);
    if (sum < least) least = sum, best = i;
  }
  return best;
}

}  // namespace optscope
