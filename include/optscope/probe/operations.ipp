// SPDX-License-Identifier: MIT
#pragma once
// Bodies of operations.hpp.

#include <cmath>
#include <optscope/core/simd.hpp>
#include <optscope/probe/operations.hpp>
#include <string>

namespace optscope {
namespace detail {
inline double length_of(std::span<const double> x) {
  double sum = 0;
  for (const double unit : x) sum += unit * unit;
  return std::sqrt(sum);
}

/// x -= q qᵀ x.
template <class T>
void subtract_along(std::span<const double> q, std::span<T> x) {
  double along = 0;
  for (std::size_t i = 0; i < q.size(); ++i) along += q[i] * static_cast<double>(x[i]);
  for (std::size_t i = 0; i < q.size(); ++i) x[i] = static_cast<T>(static_cast<double>(x[i]) - along * q[i]);
}

inline void require_width(std::string_view name, std::size_t expected, std::size_t found) {
  if (found == expected) return;
  throw bad_input{"", std::string{name}, "directions of length " + std::to_string(expected), std::to_string(found)};
}
}  // namespace detail

OPTSCOPE_INLINE std::span<const double> unit_values::of(std::size_t width, const vector_place& at,
                                                        std::string_view name) const {
  const std::size_t list = by_layer_ ? at.layer : 0;
  if (list >= lists_.size()) {
    throw bad_input{"", std::string{name}, "values for layer " + std::to_string(list),
                    "values for " + std::to_string(lists_.size()) + " layers"};
  }
  const std::span<const double> values{lists_[list]};
  if (values.size() == 1) return values;
  const std::size_t first = values.size() > width ? at.head * width : 0;
  if (values.size() % width != 0 || first + width > values.size()) {
    throw bad_input{"", std::string{name},
                    "1 value, one for each of " + std::to_string(width) + " units, or one for each head and unit",
                    std::to_string(values.size()) + " values"};
  }
  return values.subspan(first, width);
}

OPTSCOPE_INLINE project_out::project_out(const std::vector<double>& direction)
    : project_out{std::vector<std::vector<double>>{direction}} {}

OPTSCOPE_INLINE project_out::project_out(const std::vector<std::vector<double>>& directions) {
  for (const std::vector<double>& each : directions) {
    const std::string number = "number " + std::to_string(basis_.size());
    if (each.size() != directions[0].size()) {
      throw bad_input{"", "project_out", "directions of length " + std::to_string(directions[0].size()),
                      number + " of length " + std::to_string(each.size())};
    }
    std::vector<double> q = each;
    const double length = detail::length_of(q);
    for (int twice = 0; twice < 2; ++twice) {
      for (const std::vector<double>& other : basis_) detail::subtract_along(other, std::span<double>{q});
    }
    const double left = detail::length_of(q);
    if (!(left > 1e-10 * length) || !std::isfinite(left)) {
      throw bad_input{"", "project_out", "directions that are linearly independent",
                      number + " in the span of those before"};
    }
    for (double& unit : q) unit /= left;
    basis_.push_back(std::move(q));
  }
}

template <class T>
void project_out::operator()(std::span<T> x, const vector_place&) const {
  for (const std::vector<double>& q : basis_) {
    detail::require_width(name, x.size(), q.size());
    detail::subtract_along(q, x);
  }
}

OPTSCOPE_INLINE erase::erase(tensor_view<const float, 2> left, tensor_view<const float, 2> right,
                             std::span<const float> bias)
    : count_{left.rows()}, bias_(bias.begin(), bias.end()) {
  if (right.rows() != count_ || left.cols() != bias.size() || right.cols() != bias.size()) {
    throw bad_input{"", "erase", "as many left as right directions, all as long as bias",
                    std::to_string(left.rows()) + " and " + std::to_string(right.rows()) + " of length " +
                        std::to_string(left.cols()) + " and " + std::to_string(right.cols()) + ", bias of " +
                        std::to_string(bias.size())};
  }
  for (std::size_t i = 0; i < count_; ++i) left_.insert(left_.end(), left.row(i).begin(), left.row(i).end());
  right_.resize(left_.size());
  for (std::size_t i = 0; i < count_; ++i) {
    for (std::size_t j = 0; j < bias_.size(); ++j) right_[j * count_ + i] = right(i, j);
  }
}

template <class T>
void erase::operator()(std::span<T> x, const vector_place&) {
  const std::size_t width = bias_.size();
  detail::require_width(name, x.size(), width);
  std::vector<T>& along = std::get<std::vector<T>>(along_);
  along.assign(count_, T{0});
  T *const sums = along.data(), *const to = x.data();
  simd::run([&]() __attribute__((always_inline)) {
    for (std::size_t j = 0; j < width; ++j) {
      const T from_bias = to[j] - static_cast<T>(bias_[j]);
      const float* const right = right_.data() + j * count_;
      for (std::size_t i = 0; i < count_; ++i) sums[i] += from_bias * static_cast<T>(right[i]);
    }
    for (std::size_t i = 0; i < count_; ++i) {
      const float* const left = left_.data() + i * width;
      for (std::size_t j = 0; j < width; ++j) to[j] -= sums[i] * static_cast<T>(left[j]);
    }
  });
}

#ifdef OPTSCOPE_COMPILED
template void project_out::operator()(std::span<float>, const vector_place&) const;
template void project_out::operator()(std::span<double>, const vector_place&) const;
template void erase::operator()(std::span<float>, const vector_place&);
template void erase::operator()(std::span<double>, const vector_place&);
#endif

}  // namespace optscope
