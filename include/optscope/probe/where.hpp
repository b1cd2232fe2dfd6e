// SPDX-License-Identifier: MIT
#pragma once
// Which vectors of a site, and which of their elements: by text, layer, position, head, unit, or any rule.

#include <cstddef>
#include <functional>
#include <optional>
#include <optscope/core/compiled.hpp>
#include <optscope/core/errors.hpp>
#include <optscope/core/probe.hpp>
#include <optscope/core/site.hpp>
#include <optscope/probe/positions.hpp>
#include <string>
#include <utility>
#include <vector>

namespace optscope {

/// A vector of a site: its last axis at one text, layer, position and head.
struct vector_place {
  std::size_t text = 0;
  std::size_t layer = 0;  ///< 0 for sites without a layer
  std::size_t position = 0;
  std::size_t head = 0;  ///< 0 for sites without heads
};

/// A choice of texts, layers, positions, heads and units. Without a call of `layers`, all layers are chosen; the same
/// holds for the rest.
///
///     where{}.layers({3, 4}).heads({0}).at(positions::last())
///     where{}.layers({3}).units({17, 40})                       // of mlp_post: two neurons
///
/// Units are the elements of a site's last axis: neurons, dimensions of the stream or of a head, keys.
class where {
 public:
  using indices = std::vector<std::size_t>;
  using rule = std::function<bool(const vector_place&, std::size_t unit)>;

  where& texts(indices list) { return set(texts_, std::move(list)); }
  where& layers(indices list) { return set(layers_, std::move(list)); }
  where& heads(indices list) { return set(heads_, std::move(list)); }
  where& units(indices list) { return set(units_, std::move(list)); }
  /// Positions that a text does not have are not chosen. `positions::last()` is the last token of every run: in a
  /// generation, each new token.
  where& at(positions which);
  /// Of what the rest chooses, the elements for which the rule holds.
  where& mask(rule chosen);

  /// Such as `, layers 3 4, heads 0`; lists are cut after eight entries.
  [[nodiscard]] std::string text() const;

  [[nodiscard]] bool has_layer(std::size_t layer) const;
  /// Whether all positions of a text are chosen.
  [[nodiscard]] bool all_positions() const noexcept { return !positions_; }
  [[nodiscard]] const std::optional<indices>& units() const noexcept { return units_; }
  [[nodiscard]] const rule& mask() const noexcept { return mask_; }

  /// Throws `bad_input` with `item` if a text, or a layer, head or unit of the site, is not in the run.
  void check(const site_info& site, const run_plan& plan, const std::string& item) const;

  /// The positions of a text that are chosen and run, in order.
  [[nodiscard]] indices rows_of(const run_plan& plan, std::size_t text) const;
  /// The chosen ones of this many heads.
  [[nodiscard]] indices heads_of(std::size_t heads) const;

 private:
  where& set(std::optional<indices>& list, indices values);

  std::optional<indices> texts_, layers_, heads_, units_;
  std::optional<positions> positions_;
  rule mask_;
};

}  // namespace optscope

#ifndef OPTSCOPE_COMPILED
#include <optscope/probe/where.ipp>
#endif
