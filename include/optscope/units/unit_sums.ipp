// SPDX-License-Identifier: MIT
#pragma once
// Bodies of unit_sums.hpp.

#include <algorithm>
#include <cmath>
#include <optscope/core/simd.hpp>
#include <optscope/units/unit_sums.hpp>

namespace optscope {
namespace detail {

inline constexpr std::size_t unit_sum_kinds = all_unit_statistics.size();  // sums of (x > 0), x, |x|, x²

/// The norm of each row. In lanes: the order of the additions is the same on every machine.
inline void row_norms(tensor_view<const float, 2> rows, float* norms) {
  constexpr std::size_t lanes = 16;
  simd::run([&]() __attribute__((always_inline)) {
    for (std::size_t i = 0; i < rows.rows(); ++i) {
      const float* x = rows.row(i).data();
      float partial[lanes] = {}, square = 0;
      std::size_t j = 0;
      for (; j + lanes <= rows.cols(); j += lanes) {
        for (std::size_t k = 0; k < lanes; ++k) partial[k] += x[j + k] * x[j + k];
      }
      for (; j < rows.cols(); ++j) square += x[j] * x[j];
      for (const float part : partial) square += part;
      norms[i] = std::sqrt(square);
    }
  });
}

[[gnu::always_inline]] inline void add_row_to_sums(const float* __restrict x, std::size_t width,
                                                   float* __restrict above, float* __restrict sum,
                                                   float* __restrict magnitude, float* __restrict square) {
  for (std::size_t j = 0; j < width; ++j) {
    above[j] += x[j] > 0 ? 1.0f : 0.0f;
    sum[j] += x[j];
    magnitude[j] += std::abs(x[j]);
    square[j] += x[j] * x[j];
  }
}

}  // namespace detail

OPTSCOPE_INLINE unit_sums::unit_sums(const architecture& shape, const text_groups& groups,
                                     std::vector<head_norms> norms)
    : units_{shape},
      norms_{std::move(norms)},
      open_(detail::unit_sum_kinds * units_.size()),
      groups_(groups.count() * detail::unit_sum_kinds * units_.size()),
      sums_(groups.categories() * detail::unit_sum_kinds * units_.size()),
      squares_(sums_.size()),
      energy_(groups.categories() * units_.size()) {}

OPTSCOPE_INLINE void unit_sums::operator()(site::z, const place& at, tensor_view<const float, 3> z) {
  scratch_.resize(z.rows() * z.extent(1));
  const tensor_view<float, 2> norms{scratch_.data(), {z.rows(), z.extent(1)}};
  norms_[at.layer](z, norms);
  add(at, unit_kind::head, norms);
}
OPTSCOPE_INLINE void unit_sums::operator()(site::attn_out, const place& at, tensor_view<const float, 2> rows) {
  add_norms(at, unit_kind::attention, rows);
}
OPTSCOPE_INLINE void unit_sums::operator()(site::mlp_post, const place& at, tensor_view<const float, 2> rows) {
  add(at, unit_kind::neuron, rows);
}
OPTSCOPE_INLINE void unit_sums::operator()(site::mlp_out, const place& at, tensor_view<const float, 2> rows) {
  add_norms(at, unit_kind::mlp, rows);
}
OPTSCOPE_INLINE void unit_sums::operator()(site::resid_post, const place& at, tensor_view<const float, 2> rows) {
  add_norms(at, unit_kind::layer, rows);
}

OPTSCOPE_INLINE void unit_sums::add_norms(const place& at, unit_kind kind, tensor_view<const float, 2> rows) {
  scratch_.resize(rows.rows());
  detail::row_norms(rows, scratch_.data());
  add(at, kind, {scratch_.data(), {rows.rows(), 1}});
}

/// Adds a window's rows (position, unit) of one kind and layer to the sums of its text.
OPTSCOPE_INLINE void unit_sums::add(const place& at, unit_kind kind, tensor_view<const float, 2> rows) {
  constexpr std::size_t kinds = detail::unit_sum_kinds;
  constexpr std::size_t rows_at_a_time = 64;  // that are summed in float
  const text_part& part = parts_[at.text];
  const std::size_t width = rows.cols(), first = units_.first(kind, at.layer);
  partial_.resize(kinds * width);
  float* const above = partial_.data();
  float* const sum = above + width;
  float* const magnitude = sum + width;
  float* const square = magnitude + width;
  for (std::size_t begin = part.skip; begin < rows.rows(); begin += rows_at_a_time) {
    const std::size_t end = std::min(rows.rows(), begin + rows_at_a_time);
    simd::run([&]() __attribute__((always_inline)) {
      for (std::size_t j = 0; j < kinds * width; ++j) above[j] = 0;
      for (std::size_t i = begin; i < end; ++i) {
        detail::add_row_to_sums(rows.row(i).data(), width, above, sum, magnitude, square);
      }
      for (std::size_t k = 0; k < kinds; ++k) {
        double* open = open_.data() + k * units_.size() + first;
        for (std::size_t j = 0; j < width; ++j) open[j] += static_cast<double>(above[k * width + j]);
      }
    });
  }
  if (part.ends) close(part, first, width);
}

/// The text is over: its statistics are added to those of its category and group.
OPTSCOPE_INLINE void unit_sums::close(const text_part& part, std::size_t first, std::size_t width) {
  const auto positions = static_cast<double>(part.text_tokens);
  for (const unit_statistic statistic : all_unit_statistics) {
    double* const open = open_.data() + static_cast<std::size_t>(statistic) * units_.size() + first;
    double* const total = sums_.data() + block(part.category, statistic) + first;
    double* const squared = squares_.data() + block(part.category, statistic) + first;
    double* const energy = energy_.data() + part.category * units_.size() + first;
    const bool grouped = part.group != text_groups::none;
    float* const group = grouped ? groups_.data() + block(part.group, statistic) + first : nullptr;
    for (std::size_t j = 0; j < width; ++j) {
      double value = std::exchange(open[j], 0.0) / positions;
      if (statistic == unit_statistic::rms) {
        energy[j] += value;
        value = std::sqrt(value);
      }
      total[j] += value;
      squared[j] += value * value;
      if (grouped) group[j] += static_cast<float>(value);
    }
  }
}

}  // namespace optscope
