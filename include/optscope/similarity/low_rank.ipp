// SPDX-License-Identifier: MIT
#pragma once
// Bodies of low_rank.hpp.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <optscope/core/errors.hpp>
#include <optscope/core/permutation.hpp>
#include <optscope/interop/xtensor.hpp>
#include <optscope/similarity/low_rank.hpp>
#include <random>
#include <span>
#include <utility>
#include <xtensor-blas/xlinalg.hpp>

namespace optscope {
namespace detail {

/// Rows and columns centred, symmetric; of distances, the inner products of the centred vectors.
inline xt::xtensor<double, 2> centred_similarity(tensor_view<const float, 2> matrix, bool distance) {
  xt::xtensor<double, 2> values = xt::cast<double>(adapt(matrix));
  if (distance) {
    values = -0.5 * xt::square(values);
  } else {
    const xt::xtensor<double, 2> turned = xt::transpose(values);
    values = 0.5 * (values + turned);
  }
  const xt::xtensor<double, 1> rows = xt::mean(values, {1});
  const double all = xt::mean(rows)();
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = 0; j < rows.size(); ++j) values(i, j) += all - rows(i) - rows(j);
  }
  return values;
}

inline std::vector<double> descending_eigenvalues(const xt::xtensor<double, 2>& matrix) {
  const auto values = xt::linalg::eigvalsh(matrix);
  return {values.rbegin(), values.rend()};
}

/// Largest of each eigenvalue over similarity matrices of permuted vectors.
inline std::vector<double> eigenvalues_by_chance(tensor_view<const float, 2> vectors, const named_metric& metric,
                                                 std::mt19937_64& random) {
  constexpr int permutations = 19;
  std::vector<double> largest(vectors.rows(), -std::numeric_limits<double>::infinity());
  tensor<float, 2> mixed{vectors.shape()};
  std::vector<std::size_t> order(vectors.rows());
  for (int p = 0; p < permutations; ++p) {
    for (std::size_t j = 0; j < vectors.cols(); ++j) {
      std::iota(order.begin(), order.end(), std::size_t{0});
      for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random() % i]);
      for (std::size_t i = 0; i < order.size(); ++i) mixed(i, j) = vectors(order[i], j);
    }
    const std::vector<double> values =
        descending_eigenvalues(centred_similarity(metric.measure(std::as_const(mixed).view()), metric.distance));
    for (std::size_t k = 0; k < values.size(); ++k) largest[k] = std::max(largest[k], values[k]);
  }
  return largest;
}

/// Share of the variance of `values` between groups, in [0, 1], and corrected for their number. Values of groups of one
/// member are left out. NaN if there are no two groups, or nothing varies.
struct group_share {
  double plain = std::numeric_limits<double>::quiet_NaN(), corrected = plain;
};
inline group_share share_between(std::span<const double> values, std::span<const std::size_t> group) {
  const std::size_t most = group.empty() ? 0 : 1 + *std::ranges::max_element(group);
  std::vector<double> sum(most), count(most);
  for (std::size_t i = 0; i < values.size(); ++i) {
    sum[group[i]] += values[i];
    count[group[i]] += 1;
  }
  double n = 0, groups = 0, mean = 0;
  for (std::size_t g = 0; g < most; ++g) {
    if (count[g] < 2) continue;
    n += count[g];
    groups += 1;
    mean += sum[g];
  }
  if (groups < 2) return {};
  mean /= n;
  double between = 0, total = 0;
  for (std::size_t g = 0; g < most; ++g) {
    if (count[g] >= 2) between += sum[g] / count[g] * sum[g] - 2 * mean * sum[g] + count[g] * mean * mean;
  }
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (count[group[i]] >= 2) total += (values[i] - mean) * (values[i] - mean);
  }
  if (total <= 0) return {};
  const double plain = std::clamp(between / total, 0.0, 1.0);
  return {.plain = plain, .corrected = std::max(0.0, 1 - (1 - plain) * (n - 1) / (n - groups))};
}

/// The share of a label in `values`; p by exchanging values within the groups of `within`.
inline explained_by explain(std::span<const double> values, std::span<const std::size_t> label,
                            std::span<const std::size_t> within, std::mt19937_64& random) {
  constexpr int permutations = 999;
  const group_share real = share_between(values, label);
  if (std::isnan(real.plain)) return {};
  std::vector<std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < within.size(); ++i) {
    if (members.size() <= within[i]) members.resize(within[i] + 1);
    members[within[i]].push_back(i);
  }
  std::vector<double> mixed(values.begin(), values.end());
  int reached = 1;
  for (int p = 0; p < permutations; ++p) {
    for (const std::vector<std::size_t>& block : members) {
      for (std::size_t i = block.size(); i > 1; --i) std::swap(mixed[block[i - 1]], mixed[block[random() % i]]);
    }
    reached += share_between(mixed, label).plain >= real.plain - 1e-12 ? 1 : 0;
  }
  return {.share = real.corrected, .p = static_cast<double>(reached) / (permutations + 1)};
}

/// The share of the category in `values`, by way of the texts' means; p by exchanging categories between texts.
inline explained_by explain_by_category(std::span<const double> values, const vector_labels& where,
                                        std::uint64_t seed) {
  std::vector<double> mean(where.category.size()), count(mean.size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    mean[where.text[i]] += values[i];
    count[where.text[i]] += 1;
  }
  for (std::size_t t = 0; t < mean.size(); ++t) mean[t] /= count[t];
  const group_share real = share_between(mean, where.category);
  if (std::isnan(real.plain)) return {};
  std::size_t reached = 0;
  const labelling_count compared =
      for_each_labelling(where.category, 5000, seed, [&](std::span<const std::size_t> labels) {
        reached += share_between(mean, labels).plain >= real.plain - 1e-12 ? 1 : 0;
      });
  const double of_texts = share_between(values, where.text).plain;  // NaN with one vector a text
  return {.share = real.corrected * (std::isnan(of_texts) ? 1 : of_texts),
          .p = static_cast<double>(reached) / static_cast<double>(compared.count)};
}

/// Positions as groups 0, 1, …, in order.
inline std::vector<std::size_t> numbered(const std::vector<std::size_t>& labels) {
  std::vector<std::size_t> different = labels;
  std::ranges::sort(different);
  different.erase(std::unique(different.begin(), different.end()), different.end());
  std::vector<std::size_t> result;
  for (const std::size_t each : labels) {
    result.push_back(static_cast<std::size_t>(std::ranges::lower_bound(different, each) - different.begin()));
  }
  return result;
}

inline double sum_beside_diagonal(const xt::xtensor<double, 2>& matrix) {
  double sum = 0;
  for (std::size_t i = 0; i < matrix.shape()[0]; ++i) {
    for (std::size_t j = 0; j < matrix.shape()[1]; ++j) sum += i == j ? 0 : matrix(i, j) * matrix(i, j);
  }
  return sum;
}

/// Principal axis factoring: L of this rank, and what the diagonal keeps, to `fit`; returns the eigenvectors
/// (component, vector).
inline xt::xtensor<double, 2> factor(const xt::xtensor<double, 2>& matrix, low_rank_fit& fit) {
  const std::size_t n = matrix.shape()[0], rank = fit.rank;
  xt::xtensor<double, 2> low = xt::zeros<double>({n, n}), axes = xt::zeros<double>({rank, n});
  xt::xtensor<double, 1> diagonal = xt::zeros<double>({n});
  for (int step = 0; step < 25 && rank > 0; ++step) {
    xt::xtensor<double, 2> left = matrix;
    for (std::size_t i = 0; i < n; ++i) left(i, i) -= diagonal(i);
    const auto [values, vectors] = xt::linalg::eigh(left);  // ascending
    xt::xtensor<double, 2> scaled = xt::zeros<double>({rank, n});
    for (std::size_t k = 0; k < rank; ++k) {
      const double root = std::sqrt(std::max(values(n - 1 - k), 0.0));
      for (std::size_t i = 0; i < n; ++i) {
        axes(k, i) = vectors(i, n - 1 - k);
        scaled(k, i) = root * axes(k, i);
      }
    }
    const xt::xtensor<double, 2> other = scaled;
    xt::blas::gemm(scaled, other, low, true, false);
    double change = 0;
    for (std::size_t i = 0; i < n; ++i) {
      const double next = std::max(0.0, matrix(i, i) - low(i, i));
      change = std::max(change, std::abs(next - diagonal(i)));
      diagonal(i) = next;
    }
    if (change <= 1e-6 * xt::amax(xt::abs(matrix))()) break;
  }
  const xt::xtensor<double, 2> rest = matrix - low;
  const double all = sum_beside_diagonal(matrix), left = sum_beside_diagonal(rest);
  double trace = 0, own = 0;
  for (std::size_t i = 0; i < n; ++i) {
    trace += matrix(i, i);
    own += rank == 0 ? matrix(i, i) : diagonal(i);
  }
  fit.explained = all > 0 ? std::max(0.0, 1 - left / all) : 0;
  fit.residual = n > 1 ? std::sqrt(left / static_cast<double>(n * (n - 1))) : 0;
  fit.diagonal = trace > 0 ? std::min(1.0, own / trace) : 0;
  return axes;
}

}  // namespace detail

OPTSCOPE_INLINE low_rank_fit fit_low_rank(tensor_view<const float, 2> vectors, const named_metric& metric,
                                          const vector_sources& sources, std::uint64_t seed) {
  constexpr std::size_t most_components = 10;
  const std::size_t n = vectors.rows();
  if (n > most_vectors_of_fit) {
    throw bad_input{"", "fit_low_rank", "at most " + std::to_string(most_vectors_of_fit) + " vectors",
                    std::to_string(n)};
  }
  low_rank_fit fit;
  fit.varies = n >= 3;
  if (!fit.varies) return fit;
  const tensor<float, 2> similarity = metric.measure(vectors);
  const auto view = std::as_const(similarity).view();
  const xt::xtensor<double, 2> matrix = detail::centred_similarity(view, metric.distance);
  const double squares = xt::sum(xt::square(matrix))();
  const xt::xtensor<double, 2> plain = xt::cast<double>(adapt(view));
  const double before = xt::sum(xt::square(plain))();
  if (!metric.distance) fit.common = before > 0 ? std::max(0.0, 1 - squares / before) : 0;
  fit.varies = squares > 1e-13 * before;  // float's rounding, squared
  if (!fit.varies) return fit;
  std::mt19937_64 random{seed};
  const std::vector<double> values = detail::descending_eigenvalues(matrix);
  const std::vector<double> chance = detail::eigenvalues_by_chance(vectors, metric, random);
  const double rounding = 1e-9 * std::abs(values[0]);
  while (fit.rank + 1 < n && values[fit.rank] > chance[fit.rank] + rounding) ++fit.rank;
  const xt::xtensor<double, 2> axes = detail::factor(matrix, fit);
  double positive = 0;
  for (const double value : values) positive += std::max(value, 0.0);
  const std::vector<std::size_t> position = detail::numbered(sources.position);
  const std::vector<std::size_t> token = detail::numbered(sources.token);
  for (std::size_t k = 0; k < std::min(fit.rank, most_components); ++k) {
    const std::span<const double> axis{axes.data() + k * n, n};
    matrix_component& found = fit.components.emplace_back();
    found.share = values[k] / positive;
    found.category = detail::explain_by_category(axis, sources.where, seed);
    found.text = detail::explain(axis, sources.where.text, position, random);
    found.position = detail::explain(axis, position, sources.where.text, random);
    found.token = detail::explain(axis, token, sources.where.text, random);
    for (const explained_by* each : {&found.category, &found.text, &found.position, &found.token}) {
      fit.tests += std::isnan(each->share) ? 0 : 1;
    }
  }
  return fit;
}

OPTSCOPE_INLINE std::string finding_of(const low_rank_fit& fit) {
  const auto percent = [](double share) {
    const long whole = std::lround(100 * share);
    return (whole == 0 && share > 0 ? std::string{"less than 1"} : std::to_string(whole)) + " %";
  };
  if (!fit.varies) return "All pairs of vectors are equally alike: there is nothing to fit.";
  if (fit.rank == 0) return "No component is beyond those of permuted vectors: a diagonal, and noise.";
  std::string text = "Diagonal plus rank " + std::to_string(fit.rank) + ": " +
                     (fit.rank == 1 ? "the component" : "the components") + " beyond chance hold" +
                     (fit.rank == 1 ? "s " : " ") + percent(fit.explained) + " of the matrix off its diagonal; " +
                     percent(fit.diagonal) + " of its trace is in the diagonal alone.";
  const auto p_of = [&](const explained_by& by) { return by.p * static_cast<double>(fit.tests); };
  for (std::size_t k = 0; k < std::min<std::size_t>(fit.components.size(), 3); ++k) {
    const matrix_component& one = fit.components[k];
    std::string follows;
    for (const auto& [name, by] : {std::pair{"category", &one.category},
                                   {"text", &one.text},
                                   {"position", &one.position},
                                   {"token", &one.token}}) {
      if (std::isnan(by->share) || by->share < 0.1 || p_of(*by) > 0.05) continue;
      follows += (follows.empty() ? "" : ", ") + std::string{name} + " " + percent(by->share);
    }
    text += " Component " + std::to_string(k + 1) + " (" + percent(one.share) + "): " +
            (follows.empty() ? "none of category, text, position and token has a tenth of it beyond chance" : follows) +
            ".";
  }
  return text;
}

}  // namespace optscope
