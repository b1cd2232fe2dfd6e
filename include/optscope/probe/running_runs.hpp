// SPDX-License-Identifier: MIT
#pragma once
// What running statistics have of the runs: which vectors they take on, of which texts; without their types.

#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/probe/positions.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// Is given one tensor of saved statistics: its name, its shape, its values row-major.
using tensor_action =
    std::function<void(const std::string& name, const std::vector<std::size_t>& shape, std::span<const double> values)>;
/// Gives the values of a tensor of saved statistics. An extent of 0 in `shape` stands for any extent. Throws
/// `bad_input` if there is no such tensor, or if it has another shape.
using tensor_source =
    std::function<std::vector<double>(const std::string& name, const std::vector<std::size_t>& shape)>;

namespace detail {

/// A number from a file that is a count or an index; throws `bad_input` if it cannot be one.
[[nodiscard]] std::size_t saved_count(double value);

/// Throws `bad_input` unless the tensor has the shape, in which an extent of 0 stands for any extent.
void require_saved_shape(const std::string& name, std::span<const std::size_t> found,
                         std::span<const std::size_t> expected);
[[noreturn]] void refuse_missing_tensor(const std::string& name);

/// Throws `bad_input` for a unit beyond those that statistics have.
void require_unit(std::size_t unit, std::size_t units);

/// The runs that statistics have seen.
class running_runs {
 public:
  explicit running_runs(positions which) : positions_{std::move(which)} {}

  void only_layers(std::vector<std::size_t> layers) { layers_ = std::move(layers); }
  [[nodiscard]] bool wants(const site_info& site, std::size_t layer) const;
  /// Throws `bad_input` if there are no statistics of a layer of a site.
  void check_kept(const site_info& site, std::size_t layer) const;

  [[nodiscard]] const std::optional<architecture>& shape() const noexcept { return shape_; }
  /// Throws `bad_input` if there is another one already.
  void set_shape(const architecture& shape);
  void replace_shape(const architecture& shape) { shape_ = shape; }
  void begin(const run_plan& plan);
  /// The chosen positions of a text of the run.
  [[nodiscard]] const std::vector<std::size_t>& rows(std::size_t text) const { return rows_[text]; }
  /// The number of a text of the run among those of all runs.
  [[nodiscard]] std::size_t number_of(std::size_t text) const noexcept { return first_text_ + text; }
  [[nodiscard]] std::size_t texts() const noexcept { return next_text_; }
  void set_texts(std::size_t count) noexcept { first_text_ = next_text_ = count; }
  void add_texts(std::size_t count) noexcept { next_text_ += count; }

 private:
  positions positions_;
  std::optional<std::vector<std::size_t>> layers_;
  std::optional<architecture> shape_;
  std::vector<std::vector<std::size_t>> rows_;  // [text]: positions of this run
  std::size_t first_text_ = 0, next_text_ = 0;
};

}  // namespace detail
}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/running_runs.ipp>
#endif
