// SPDX-License-Identifier: MIT
#pragma once
// A probe for the mean `z` of every head: what can stand in the place of a removed one.

#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/units/unit_sums.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

/// Mean `z` over the texts of each category, each text counting once, as in `unit_sums`, which is told the same.
class head_means {
 public:
  using sites = site_list<site::z>;

  head_means(const architecture& shape, const text_groups& groups)
      : shape_{shape}, groups_{groups}, means_(groups.categories() * shape.layers * shape.hidden) {}

  void expect(std::vector<text_part> parts) { parts_ = std::move(parts); }

  void operator()(site::z, const place& at, tensor_view<const float, 3> z) {
    const text_part& part = parts_[at.text];
    double* const mean = means_.data() + first(part.category, at.layer);
    const double weight = 1 / static_cast<double>(part.text_tokens * groups_.texts(part.category));
    for (std::size_t i = part.skip; i < z.rows(); ++i) {
      const auto row = z.row(i);
      for (std::size_t j = 0; j < row.size(); ++j) mean[j] += weight * static_cast<double>(row[j]);
    }
  }

  /// Of one head: (head_dim).
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
