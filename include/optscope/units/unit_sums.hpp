// SPDX-License-Identifier: MIT
#pragma once
// A probe that sums the activity of every unit, text by text, in memory that does not grow with the texts.

#include <array>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/compiled.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/units/head_norms.hpp>
#include <optscope/units/text_groups.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// What summarises a unit's activity over the positions of a text.
enum class unit_statistic {
  frequency,  ///< share of positions at which the activity is above zero
  mean,
  mean_abs,
  rms
};

inline constexpr std::array all_unit_statistics{unit_statistic::frequency, unit_statistic::mean,
                                                unit_statistic::mean_abs, unit_statistic::rms};

[[nodiscard]] constexpr std::string_view name_of(unit_statistic statistic) noexcept {
  constexpr std::array<std::string_view, 4> names{"frequency", "mean", "mean_abs", "rms"};
  return names[static_cast<std::size_t>(statistic)];
}

/// Computes each statistic of each text and sums it over the texts of each category and group. Every text counts once,
/// however long it is.
///
///     const text_groups groups{{1, 1}};  // two categories of one text each
///     unit_sums sums{opt.shape(), groups, head_norms_of(opt)};
///     sums.expect({{.category = 0, .group = groups.of(0, 0), .text_tokens = texts[0].size() - 1, .skip = 1},
///                  {.category = 1, .group = groups.of(1, 0), .text_tokens = texts[1].size() - 1, .skip = 1}});
///     opt.run(texts, sums);
///     const double mean = sums.sum(0, unit_statistic::mean)[sums.units().first(unit_kind::neuron, 3)];
class unit_sums {
 public:
  using sites = site_list<site::z, site::attn_out, site::mlp_post, site::mlp_out, site::resid_post>;

  /// `norms` [layer].
  unit_sums(const architecture& shape, const text_groups& groups, std::vector<head_norms> norms);

  /// Says where the windows of the next batch come from: [window]. Call it before each run. The windows of a text must
  /// follow one another.
  void expect(std::vector<text_part> parts) { parts_ = std::move(parts); }

  void operator()(site::z, const place& at, tensor_view<const float, 3> z);
  void operator()(site::attn_out, const place& at, tensor_view<const float, 2> rows);
  void operator()(site::mlp_post, const place& at, tensor_view<const float, 2> rows);
  void operator()(site::mlp_out, const place& at, tensor_view<const float, 2> rows);
  void operator()(site::resid_post, const place& at, tensor_view<const float, 2> rows);

  [[nodiscard]] const unit_table& units() const noexcept { return units_; }
  /// Sum of a statistic over the texts of a category: [unit].
  [[nodiscard]] std::span<const double> sum(std::size_t category, unit_statistic statistic) const {
    return std::span{sums_}.subspan(block(category, statistic), units_.size());
  }
  /// Sum of its square: [unit].
  [[nodiscard]] std::span<const double> sum_of_squares(std::size_t category, unit_statistic statistic) const {
    return std::span{squares_}.subspan(block(category, statistic), units_.size());
  }
  /// Sum over the texts of a category of the mean square: [unit].
  [[nodiscard]] std::span<const double> mean_squares(std::size_t category) const {
    return std::span{energy_}.subspan(category * units_.size(), units_.size());
  }
  /// Sum of a statistic over the texts of a group: [unit].
  [[nodiscard]] std::span<const float> group_sum(std::size_t group, unit_statistic statistic) const {
    return std::span{groups_}.subspan(block(group, statistic), units_.size());
  }

  /// Calls `action(span of numbers)` for everything that was summed, to save it and to read it back.
  template <class Action>
  void for_each_array(Action&& action) {
    action(std::span{open_});
    action(std::span{groups_});
    action(std::span{sums_});
    action(std::span{squares_});
    action(std::span{energy_});
  }

 private:
  [[nodiscard]] std::size_t block(std::size_t outer, unit_statistic statistic) const {
    return (outer * all_unit_statistics.size() + static_cast<std::size_t>(statistic)) * units_.size();
  }
  void add_norms(const place& at, unit_kind kind, tensor_view<const float, 2> rows);
  void add(const place& at, unit_kind kind, tensor_view<const float, 2> rows);
  void close(const text_part& part, std::size_t first, std::size_t width);

  unit_table units_;
  std::vector<head_norms> norms_;
  std::vector<text_part> parts_;
  std::vector<float> partial_, scratch_;
  std::vector<double> open_;            // (sum, unit): of the text that has begun
  std::vector<float> groups_;           // (group, statistic, unit)
  std::vector<double> sums_, squares_;  // (category, statistic, unit)
  std::vector<double> energy_;          // (category, unit)
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/units/unit_sums.ipp>
#endif
