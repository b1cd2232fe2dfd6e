// SPDX-License-Identifier: MIT
#pragma once
// In which order units are removed, and the removal of the first of them.

#include <cstddef>
#include <cstdint>
#include <optscope/core/compiled.hpp>
#include <optscope/opt/removal.hpp>
#include <optscope/units/activity.hpp>
#include <optscope/units/units.hpp>
#include <span>
#include <utility>
#include <vector>

namespace optscope {

enum class removal_order { by_score, random, reversed };

/// The units of one kind in these layers; those that are removed first come first. Units without a score (NaN) come
/// last in every order. `score` [unit].
[[nodiscard]] std::vector<std::size_t> order_of_removal(const std::vector<double>& score, const unit_table& units,
                                                        unit_kind kind, const std::vector<std::size_t>& layers,
                                                        removal_order order, std::uint64_t seed = 0);

/// The units that may be removed, and how units of several kinds and layers are put in one order.
class unit_ordering {
 public:
  struct options {
    std::vector<unit_kind> kinds;
    std::vector<std::size_t> layers;  ///< ascending
    bool even = false;                ///< the same number of neurons from every layer
    bool absolute_scores = false;     ///< scores of different kinds can be compared; see `removal_score`
  };

  unit_ordering(unit_table units, options what) : units_{std::move(units)}, what_{std::move(what)} {}

  [[nodiscard]] const unit_table& units() const noexcept { return units_; }
  [[nodiscard]] const std::vector<unit_kind>& kinds() const noexcept { return what_.kinds; }
  [[nodiscard]] const std::vector<std::size_t>& layers() const noexcept { return what_.layers; }
  /// How many units may be removed.
  [[nodiscard]] std::size_t count() const;
  /// Their numbers, layer by layer.
  [[nodiscard]] std::vector<std::size_t> all() const;

  /// All of them; those that are removed first come first. Unless scores are absolute, units of two kinds are
  /// interleaved by their rank within the kind; heads go at a third of the neurons' rate, because a head is much more
  /// than a neuron.
  [[nodiscard]] std::vector<std::size_t> order(std::vector<double> score, removal_order order,
                                               std::uint64_t seed = 0) const {
    return order_in(what_.layers, std::move(score), order, seed);
  }
  /// The same for some layers alone.
  [[nodiscard]] std::vector<std::size_t> order_in(const std::vector<std::size_t>& layers, std::vector<double> score,
                                                  removal_order order, std::uint64_t seed = 0) const;

  /// The first `count` of an order; of these, with `even`, only as many neurons of each layer as every layer has there.
  [[nodiscard]] std::vector<std::size_t> first(std::vector<std::size_t> numbers, std::size_t count) const;

 private:
  void interleave_layers(std::vector<std::size_t>& neurons, std::vector<double>& score) const;

  unit_table units_;
  options what_;
};

/// What replaces the activation of a removed neuron (`mlp_post`) or head (`z`).
enum class replacement {
  zero,
  kept_mean,  ///< its mean in the category that is kept
  mean        ///< its mean over all categories, each counting once
};

/// The removal of these neurons and heads. Means are those of `active`.
[[nodiscard]] removal removal_of(std::span<const std::size_t> numbers, const activity& active, std::size_t kept,
                                 replacement with = replacement::zero);

/// Jaccard's overlap of two sets of units: shared units over all units. 1 for two empty sets.
[[nodiscard]] double overlap(std::vector<std::size_t> a, std::vector<std::size_t> b);

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/isolation/removal_order.ipp>
#endif
