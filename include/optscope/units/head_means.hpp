// SPDX-License-Identifier: MIT
#pragma once
// A probe for the mean `z` of every head, which can replace a removed head.

#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/units/text_groups.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// Mean `z` over the texts of each category; every text counts once, as in `unit_sums`. Expects what `unit_sums` does.
class head_means {
 public:
  using sites = site_list<site::z>;

  head_means(const architecture& shape, const text_groups& groups);

  /// Says where the windows of the next batch come from: [window].
  void expect(std::vector<text_part> parts) { parts_ = std::move(parts); }

  void operator()(site::z, const place& at, tensor_view<const float, 3> z);

  /// The mean of one head: (head_dim).
  [[nodiscard]] std::span<const double> operator()(std::size_t category, std::size_t layer, std::size_t head) const {
    return std::span{means_}.subspan(first(category, layer) + head * shape_.head_dim(), shape_.head_dim());
  }

 private:
  [[nodiscard]] std::size_t first(std::size_t category, std::size_t layer) const {
    return (category * shape_.layers + layer) * shape_.hidden;
  }

  architecture shape_;
  text_groups groups_;
  std::vector<text_part> parts_;
  std::vector<double> means_;  // (category, layer, head, head_dim)
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/head_means.ipp>
#endif
