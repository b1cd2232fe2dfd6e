// SPDX-License-Identifier: MIT
#pragma once
// A probe that sums up the activity of every unit, text by text, in memory that does not grow with the texts.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <optscope/core/architecture.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/simd.hpp>
#include <optscope/core/site.hpp>
#include <optscope/core/tensor.hpp>
#include <optscope/corpus/windows.hpp>
#include <optscope/units/head_norms.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace optscope {

/// What is measured of a unit in a text, over its positions.
enum class unit_statistic { frequency, mean, mean_abs, rms };  // frequency: share of positions above zero

inline constexpr std::array all_unit_statistics{unit_statistic::frequency, unit_statistic::mean,
                                                unit_statistic::mean_abs, unit_statistic::rms};

[[nodiscard]] constexpr std::string_view name_of(unit_statistic statistic) noexcept {
  constexpr std::array<std::string_view, 4> names{"frequency", "mean", "mean_abs", "rms"};
  return names[static_cast<std::size_t>(statistic)];
}

/// Which text a window of a batch belongs to.
struct text_part {
  std::size_t category = 0;
  std::size_t group = 0;        ///< see `text_groups`
  std::size_t text_tokens = 1;  ///< of the whole text, BOS not counted
  std::size_t skip = 0;         ///< rows of the window that do not count
  bool ends = true;             ///< the last window of its text
};

/// Deals the texts of each category out to groups, so that at most about `most` numbers are kept of a unit: one text a
/// group while there are few texts, else equally many in all categories, so that groups can be exchanged.
class text_groups {
 public:
  explicit text_groups(std::vector<std::size_t> texts, std::size_t most = 128) : texts_{std::move(texts)} {
    std::size_t all = 0;
    for (const std::size_t count : texts_) all += count;
    size_ = std::max<std::size_t>(1, (all + most - 1) / most);
    for (const std::size_t count : texts_) {
      first_.push_back(count_);
      const std::size_t groups = count == 0 ? 0 : std::max<std::size_t>(1, count / size_);
      count_ += groups;
      category_.insert(category_.end(), groups, first_.size() - 1);
    }
    members_.resize(count_);
    for (std::size_t c = 0; c < texts_.size(); ++c) {
      for (std::size_t t = 0; t < texts_[c]; ++t) members_[of(c, t)] += 1;
    }
  }

  [[nodiscard]] std::size_t count() const noexcept { return count_; }
  [[nodiscard]] std::size_t texts_each() const noexcept { return size_; }
  [[nodiscard]] std::size_t texts(std::size_t category) const { return texts_[category]; }
  [[nodiscard]] std::size_t categories() const noexcept { return texts_.size(); }
  /// The group of the nth text of a category.
  [[nodiscard]] std::size_t of(std::size_t category, std::size_t text) const {
    const std::size_t groups = std::max<std::size_t>(1, texts_[category] / size_);
    return first_[category] + std::min(text / size_, groups - 1);
  }
  [[nodiscard]] const std::vector<std::size_t>& category() const noexcept { return category_; }  ///< [group]
  [[nodiscard]] const std::vector<std::size_t>& members() const noexcept { return members_; }    ///< [group]: texts

 private:
  std::vector<std::size_t> texts_, first_, category_, members_;
  std::size_t size_ = 1, count_ = 0;
};

/// Sums over the positions of each text, then over the texts of each category and group; the text is the unit, however
/// long it is. Tell it with `expect` which texts the windows of the next batch belong to; the windows of a text follow
/// one another.
class unit_sums {
 public:
  using sites = site_list<site::z, site::attn_out, site::mlp_post, site::mlp_out, site::resid_post>;

  /// `norms` [layer].
  unit_sums(const architecture& shape, const text_groups& groups, std::vector<head_norms> norms)
      : units_{shape},
        norms_{std::move(norms)},
        open_(kinds * units_.size()),
        groups_(groups.count() * 4 * units_.size()),
        sums_(groups.categories() * 4 * units_.size()),
        squares_(sums_.size()),
        energy_(groups.categories() * units_.size()) {}

  void expect(std::vector<text_part> parts) { parts_ = std::move(parts); }

  void operator()(site::z, const place& at, tensor_view<const float, 3> z) {
    scratch_.resize(z.rows() * z.extent(1));
    const tensor_view<float, 2> norms{scratch_.data(), {z.rows(), z.extent(1)}};
    norms_[at.layer](z, norms);
    add(at, unit_kind::head, norms);
  }
  void operator()(site::attn_out, const place& at, tensor_view<const float, 2> rows) {
    add_norms(at, unit_kind::attention, rows);
  }
  void operator()(site::mlp_post, const place& at, tensor_view<const float, 2> rows) {
    add(at, unit_kind::neuron, rows);
  }
  void operator()(site::mlp_out, const place& at, tensor_view<const float, 2> rows) {
    add_norms(at, unit_kind::mlp, rows);
  }
  void operator()(site::resid_post, const place& at, tensor_view<const float, 2> rows) {
    add_norms(at, unit_kind::layer, rows);
  }

  [[nodiscard]] const unit_table& units() const noexcept { return units_; }
  /// Sum of a statistic over the texts of a category, of every unit.
  [[nodiscard]] std::span<const double> sum(std::size_t category, unit_statistic statistic) const {
    return std::span{sums_}.subspan(block(category, statistic), units_.size());
  }
  /// Sum of its square.
  [[nodiscard]] std::span<const double> sum_of_squares(std::size_t category, unit_statistic statistic) const {
    return std::span{squares_}.subspan(block(category, statistic), units_.size());
  }
  /// Sum over the texts of a category of the mean square.
  [[nodiscard]] std::span<const double> mean_squares(std::size_t category) const {
    return std::span{energy_}.subspan(category * units_.size(), units_.size());
  }
  /// Sum of a statistic over the texts of a group.
  [[nodiscard]] std::span<const float> group_sum(std::size_t group, unit_statistic statistic) const {
    return std::span{groups_}.subspan(block(group, statistic), units_.size());
  }

  /// Calls `action(span of numbers)` for all that was summed up: to save it and to read it back.
  template <class Action>
  void for_each_array(Action&& action) {
    action(std::span{open_});
    action(std::span{groups_});
    action(std::span{sums_});
    action(std::span{squares_});
    action(std::span{energy_});
  }

 private:
  static constexpr std::size_t kinds = 4;            // sums of (x > 0), x, |x|, x²
  static constexpr std::size_t rows_at_a_time = 64;  // that are summed in float

  [[nodiscard]] std::size_t block(std::size_t outer, unit_statistic statistic) const {
    return (outer * 4 + static_cast<std::size_t>(statistic)) * units_.size();
  }

  void add_norms(const place& at, unit_kind kind, tensor_view<const float, 2> rows) {
    scratch_.resize(rows.rows());
    float* const norms = scratch_.data();
    simd::run([&]() __attribute__((always_inline)) {
      for (std::size_t i = 0; i < rows.rows(); ++i) {
        const float* x = rows.row(i).data();
        float partial[16] = {}, square = 0;
        std::size_t j = 0;
        for (; j + 16 <= rows.cols(); j += 16) {
          for (std::size_t k = 0; k < 16; ++k) partial[k] += x[j + k] * x[j + k];
        }
        for (; j < rows.cols(); ++j) square += x[j] * x[j];
        for (const float part : partial) square += part;
        norms[i] = std::sqrt(square);
      }
    });
    add(at, kind, {norms, {rows.rows(), 1}});
  }

  /// Adds a window's rows (position, unit) of one kind and layer to the text's sums.
  void add(const place& at, unit_kind kind, tensor_view<const float, 2> rows) {
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
        for (std::size_t i = begin; i < end; ++i) sum_row(rows.row(i).data(), width, above, sum, magnitude, square);
        for (std::size_t k = 0; k < kinds; ++k) {
          double* open = open_.data() + k * units_.size() + first;
          for (std::size_t j = 0; j < width; ++j) open[j] += static_cast<double>(above[k * width + j]);
        }
      });
    }
    if (part.ends) close(part, first, width);
  }

  [[gnu::always_inline]] static void sum_row(const float* __restrict x, std::size_t width, float* __restrict above,
                                             float* __restrict sum, float* __restrict magnitude,
                                             float* __restrict square) {
    for (std::size_t j = 0; j < width; ++j) {
      above[j] += x[j] > 0 ? 1.0f : 0.0f;
      sum[j] += x[j];
      magnitude[j] += std::abs(x[j]);
      square[j] += x[j] * x[j];
    }
  }

  /// The text is over: its statistics go to its category and group.
  void close(const text_part& part, std::size_t first, std::size_t width) {
    const auto positions = static_cast<double>(part.text_tokens);
    for (std::size_t k = 0; k < kinds; ++k) {
      const auto statistic = static_cast<unit_statistic>(k);
      double* const open = open_.data() + k * units_.size() + first;
      double* const total = sums_.data() + block(part.category, statistic) + first;
      double* const squared = squares_.data() + block(part.category, statistic) + first;
      double* const energy = energy_.data() + part.category * units_.size() + first;
      float* const group = groups_.data() + block(part.group, statistic) + first;
      for (std::size_t j = 0; j < width; ++j) {
        double value = std::exchange(open[j], 0.0) / positions;
        if (statistic == unit_statistic::rms) {
          energy[j] += value;
          value = std::sqrt(value);
        }
        total[j] += value;
        squared[j] += value * value;
        group[j] += static_cast<float>(value);
      }
    }
  }

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
