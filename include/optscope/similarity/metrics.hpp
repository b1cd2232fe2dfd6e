// SPDX-License-Identifier: MIT
#pragma once
// The concept of a metric of two vectors, and the metrics of the study.

#include <concepts>
#include <cstddef>
#include <optscope/core/compiled.hpp>
#include <optscope/core/tensor.hpp>
#include <span>

namespace optscope {

/// A measure of how alike two activation vectors of `T` are: any type with a constant call operator for two spans of
/// equal length.
///
///     struct dot_product {
///       static constexpr bool symmetric = true;
///       double operator()(std::span<const float> x, std::span<const float> y) const {
///         return std::inner_product(x.begin(), x.end(), y.begin(), 0.0);
///       }
///     };
///
/// Optional members:
///
/// * `static constexpr bool symmetric = true` says that measure(x, y) is measure(y, x), always. `similarity` then calls
///   it once for a pair and not twice. Without it both are computed.
/// * `prepare(tensor_view<const T, 2> vectors)` is called once before the first pair, for metrics that depend on the
///   whole set (`metric_of_prepared_vectors`). If it returns a tensor (vector, any width) of float or double, the call
///   operator is given pairs of its rows instead (`metric_of_changed_vectors`).
/// * `static constexpr bool distance = true` says that small is alike.
template <class M, class T = float>
concept metric = std::move_constructible<M> && requires(const M& measure, std::span<const T> x) {
  { measure(x, x) } -> std::convertible_to<double>;
};

/// A metric that sees all vectors before the first pair.
template <class M, class T = float>
concept metric_of_prepared_vectors =
    metric<M, T> && requires(M& measure, tensor_view<const T, 2> vectors) { measure.prepare(vectors); };

/// A metric that compares other vectors in the place of those it is given: centred ones, for example.
template <class M, class T = float>
concept metric_of_changed_vectors =
    metric_of_prepared_vectors<M, T> && requires(M& measure, tensor_view<const T, 2> vectors) {
      typename decltype(measure.prepare(vectors))::value_type;
      requires metric<M, typename decltype(measure.prepare(vectors))::value_type>;
    };

/// Whether small is alike under a metric, of vectors or of sets.
template <class M>
inline constexpr bool is_distance = requires { requires M::distance; };

namespace detail {
/// True only if the metric says so.
template <class M>
inline constexpr bool is_symmetric = requires { requires M::symmetric; };
}  // namespace detail

/// The scalar product of two vectors of float or double, summed in double.
template <class T>
[[nodiscard]] double dot(std::span<const T> x, std::span<const T> y);

/// Cosine of the angle between two vectors, in [-1, 1]; 0 if one of them is zero.
struct cosine {
  static constexpr const char* name = "cosine";
  static constexpr bool symmetric = true;

  template <class T>
  [[nodiscard]] double operator()(std::span<const T> x, std::span<const T> y) const;
};

/// The study's measure: x·y / L², L being the length of the longest vector of the set, so that two short vectors stay
/// short. In [-1, 1]; 1 only for the longest vector with itself. 0 for all pairs if all vectors are zero.
class scaled_cosine {
 public:
  static constexpr const char* name = "scaled_cosine";
  static constexpr bool symmetric = true;

  template <class T>
  void prepare(tensor_view<const T, 2> vectors);
  template <class T>
  [[nodiscard]] double operator()(std::span<const T> x, std::span<const T> y) const;

 private:
  double longest_squared_ = 0;
};

static_assert(metric<cosine> && metric<cosine, double>);
static_assert(metric_of_prepared_vectors<scaled_cosine> && metric_of_prepared_vectors<scaled_cosine, double>);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/similarity/metrics.ipp>
#endif
